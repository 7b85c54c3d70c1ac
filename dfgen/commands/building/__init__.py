"""Build: carry out a plan, in parallel; a child starts when its own parents are done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Image
from dfgen.commands import plan as planning
from dfgen.commands.building.ports import Building, Engine
from dfgen.commands.building.relock import is_behind
from dfgen.commands.building.run import Run
from dfgen.commands.building.scheduler import Scheduler
from dfgen.commands.plan import Planning
from dfgen.commands.plan.inputs import Plan
from dfgen.commands.render import Change, Dockerfiles, File
from dfgen.errors import CheckError

__all__ = ["Building", "Engine", "build", "reviewed"]


def build(plan: Plan, lock: Lock, how: Building) -> Run:
    """Build, test, name and merge what the plan says; a second run continues where this one ended.

    A failure is part of the result and is not raised; whatever does not depend on it is still built. If the
    digest of a parent in the catalog moves, it is locked and its children are rendered again before they are
    built. An interrupt ends all running builds; the result says how far each image got. A node that no longer
    responds is removed, and its builds move to the remaining nodes.
    """
    return Scheduler(plan, lock, how).run()


_REWRITTEN = {
    Change.NEW: "was not there yet",
    Change.CHANGED: "had other pins of the catalog's own families",
}


def reviewed(
    images: Sequence[Image], lock: Lock, how: Planning, dockerfiles: Dockerfiles, *, locked: bool
) -> tuple[Plan, tuple[str, ...]]:
    """Plan images after checking that their Dockerfiles are the ones that the catalog renders.

    Dockerfiles that an interrupted build left behind the lock are rendered again, with a sentence about each
    in the result, unless the run is `locked`. Raises CheckError with every other Dockerfile that differs:
    nobody has reviewed the image that it would give.
    """
    whole = planning.with_parents(images, how.catalog)
    differing = dockerfiles.rendering(whole, lock).differing
    by_path = {image.path: image for image in whole} if differing else {}
    behind = [file for file in differing if not locked and _is_behind(file, by_path, lock, dockerfiles)]
    for file in behind:
        dockerfiles.rerender(by_path[file.path], lock)
    plan = planning.plan(images, lock, how)
    left = [file for file in differing if file not in behind]
    if left:
        raise CheckError(file.problem for file in left)
    return plan, tuple(f"{file.path}: rendered, it {_REWRITTEN[file.change]}" for file in behind)


def _is_behind(file: File, by_path: Mapping[str, Image], lock: Lock, dockerfiles: Dockerfiles) -> bool:
    image = by_path.get(file.path)
    if image is None or file.change not in _REWRITTEN:
        return False
    return is_behind(image, file.old, lock, dockerfiles.render)
