"""Build: execute a plan in parallel; an image starts as soon as all platforms of its parents are built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Image
from dfgen.commands import plan as planning
from dfgen.commands.building.parts import Building, Engine
from dfgen.commands.building.relock import has_outdated_pins
from dfgen.commands.building.run import Run
from dfgen.commands.building.scheduler import Scheduler
from dfgen.commands.plan import Planning
from dfgen.commands.plan.inputs import Plan
from dfgen.commands.render import Change, Dockerfiles, File
from dfgen.errors import CheckError

__all__ = ["Building", "Engine", "build", "plan_build"]


def build(plan: Plan, lock: Lock, how: Building) -> Run:
    """Build, test, tag and merge the images of a plan; a second run resumes where this one ended.

    A failure is part of the result and is not raised; images that do not depend on it are still built. If the
    digest of a parent in the catalog moves, the lock gets the new pin, and the Dockerfiles of its children
    are rendered again before they are built. An interrupt stops all running builds; the result says how far
    each image got. A node that no longer responds is removed, and its builds move to the remaining nodes.
    """
    return Scheduler(plan, lock, how).run()


_REWRITTEN = {
    Change.NEW: "rendered, because it did not exist",
    Change.CHANGED: "rendered again, because pins of its parents were outdated",
}


def plan_build(
    images: Sequence[Image], lock: Lock, how: Planning, dockerfiles: Dockerfiles, *, locked: bool
) -> tuple[Plan, tuple[str, ...]]:
    """Plan images after checking that their Dockerfiles are what the catalog renders.

    An interrupted build can leave Dockerfiles that do not have the pins of the lock yet. They are rendered
    again, with a sentence about each in the result, unless the run is `locked`. Raises CheckError with all
    other Dockerfiles that differ, since nobody has reviewed them.
    """
    selected = planning.with_parents(images, how.catalog)
    rendering = dockerfiles.rendering(selected, lock)
    differing = rendering.differing
    by_path = {image.path: image for image in selected} if differing else {}
    outdated = [file for file in differing if not locked and _is_outdated(file, by_path, lock, dockerfiles)]
    for file in outdated:
        dockerfiles.rerender(by_path[file.path], lock)
    # Planned first: a missing pin or context file is reported before Dockerfiles that differ because of it.
    plan = planning.plan_checked(images, lock, how, rendering, dockerfiles)
    # A stale file of an image that waits would fail the build as well, but only after its parents are built.
    unreviewed = [*(file for file in differing if file not in outdated), *rendering.stale]
    if unreviewed:
        raise CheckError(file.problem for file in unreviewed)
    return plan, tuple(f"{file.path}: {_REWRITTEN[file.change]}" for file in outdated)


def _is_outdated(file: File, by_path: Mapping[str, Image], lock: Lock, dockerfiles: Dockerfiles) -> bool:
    image = by_path.get(file.path)
    if image is None or file.change not in _REWRITTEN:
        return False
    return has_outdated_pins(image, file.old, lock, dockerfiles.render)
