"""What becomes of whole versions in a run: merged when their images are there, pinned for their children."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Image
from dfgen.commands.building.ports import Building
from dfgen.commands.building.relock import Relock, children_by_parent, relock
from dfgen.commands.building.run import Merged, Rendered, Result
from dfgen.commands.merge import merge_layout
from dfgen.commands.plan import judge
from dfgen.commands.plan.inputs import Plan, Reason, Step
from dfgen.errors import CheckError, DfgenError, InputError, listing
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import ATTESTATION_OF, BASE_DIGEST, Descriptor, Index
from dfgen.sbom.model import sboms_in


class Versions:
    """The versions of a run, and the lock as it moves with them.

    `todo` are the images that have not begun, and `results` what became of others: both are the scheduler's.
    """

    def __init__(
        self, plan: Plan, lock: Lock, how: Building, todo: Mapping[str, Step], results: Mapping[str, Result]
    ) -> None:
        """Begin with nothing done."""
        self.how, self.lock, self.todo, self.results = how, lock, todo, results
        self.left = Counter(step.image.merged_name for step in plan.steps)
        self.images: MutableMapping[str, Descriptor] = {}
        self.broken: dict[str, str] = {}  # versions that nothing can be built on, and which image is to blame
        self.moved: dict[str, Relock] = {}
        self.merged: dict[str, Digest] = {}
        self.rendered: list[str] = []
        self.errors: list[DfgenError] = []
        self.entries = how.planning.layout.entries()
        self.children = children_by_parent(how.planning.catalog)

    def blamed(self, image: Image) -> str:
        """Say what is to blame for an image that cannot be built on its parents; empty when nothing is."""
        return next((self.broken[key] for key in _parents(image) if key in self.broken), "")

    def is_ready(self, image: Image) -> bool:
        """Whether all that an image is built on is done."""
        return not any(self.left[key] for key in _parents(image))

    def current(self, step: Step) -> Step:
        """Lock and render an image anew when its parents moved, and judge it again.

        What was damaged may be whole now: a blob that an image shares with its parent came with that.
        """
        moved = [self.moved[key] for key in _parents(step.image) if key in self.moved]
        if not moved and step.reason not in (Reason.PARENT, Reason.DAMAGED):
            return step
        if moved and self.how.locked:
            raise CheckError([one.refusal(step.image) for one in moved])
        if moved:
            self.rerender(step.image)
        found = judge(step.image, self.lock, self.how.planning)
        if self.how.no_cache and not found.is_needed:
            return replace(found, reason=Reason.ASKED)
        if moved and found.reason.is_change:
            return replace(found, reason=Reason.PARENT, detail=listing(one.key for one in moved))
        return found

    def rerender(self, image: Image) -> None:
        """Write an image's Dockerfile again, for the lock as it is now."""
        path = self.how.dockerfiles.rerender(image, self.lock)
        if path:
            self.rendered.append(path)
            self.how.report(Rendered(path))

    def done(self, image: Image) -> None:
        """Count an image as done with; the last one of a version settles it."""
        version = image.merged_name
        self.left[version] -= 1
        if not self.left[version] and version not in self.broken:
            try:
                self.settle(version)
            except DfgenError as error:
                self.broken[version] = f"the merge of {version}"
                self.errors.append(error)

    def settle(self, version: str) -> None:
        """Merge a version when all its platforms are there, and pin it for its children."""
        images = self.how.planning.catalog.versions[version]
        if not all(self.is_there(image) for image in images):
            return
        merged = self.bound(version, images)
        if merged is None:
            merged = self.merge(version, images)
            self.how.report(Merged(version, merged.digest))
        self.merged[version] = merged.digest
        pins = {image.platform: self.images[image.name] for image in images}
        moved = relock(version, self.children.get(version, ()), self.lock, merged, pins)
        if moved:
            self.move(moved)

    def merge(self, version: str, images: Sequence[Image]) -> Descriptor:
        """Write the merged index of a version into the layout."""
        found = merge_layout(self.how.planning.layout, self.lock, {version: images})
        if found.failed:
            raise found.failed
        return found.merged[0].index.descriptor

    def is_there(self, image: Image) -> bool:
        """Whether the layout has an image as it should be, though the plan may not have asked for it."""
        if image.name not in self.images and image.name not in self.results:
            try:
                step = judge(image, self.lock, self.how.planning)
            except InputError:
                return False
            if step.built and not step.is_needed:
                self.images[image.name] = step.built
        return image.name in self.images

    def bound(self, version: str, images: Sequence[Image]) -> Descriptor | None:
        """Find the merged index when it was there before and is what merging would give again."""
        entry = self.entries.get(version)
        index = (
            self.how.planning.layout.manifest(entry)
            if entry and self.how.planning.layout.is_intact(entry)
            else None
        )
        if not isinstance(index, Index):
            return None
        base = index.annotations.get(BASE_DIGEST)
        parents = (self.lock.parents.get(image.parent.key) for image in images)
        wanted = {self.images[image.name].digest for image in images}
        same = base is None or any(parent and str(parent.digest) == base for parent in parents)
        same = same and {child.digest for child in index.images} == wanted
        listed = {sbom.annotations.get(ATTESTATION_OF) for sbom in sboms_in(index.manifests)}
        bills = map(str, wanted) if self.how.planning.catalog.lists_packages else ()
        return entry if same and listed == set(bills) else None

    def move(self, moved: Relock) -> None:
        """Take a version's new pins: into the lock, and into every Dockerfile that is built on it."""
        self.moved[moved.key] = moved
        planned = [child for child in moved.children if child.name in self.todo]
        if self.how.locked:
            if not planned:
                self.errors.append(CheckError(moved.refusal(moved.children[0])))
            return
        self.lock = self.lock.with_parents({moved.key: moved.pinned(self.how.today)})
        self.how.dockerfiles.save(self.lock)
        for child in moved.children:
            if child not in planned and all(self.lock.pin(parent) for parent in child.all_parents):
                self.rerender(child)


def _parents(image: Image) -> list[str]:
    return [parent.key for parent in image.all_parents if parent.family]
