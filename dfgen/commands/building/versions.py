"""The versions of a build run: merge each when its images are built, and pin it for its children."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Image
from dfgen.commands.building.parts import Building
from dfgen.commands.building.relock import Relock, children_by_parent, relock
from dfgen.commands.building.run import Merged, Rendered, Result
from dfgen.commands.merge import merge_layout
from dfgen.commands.plan import plan_image
from dfgen.commands.plan.inputs import Plan, Reason, Step
from dfgen.errors import CheckError, DfgenError, InputError, listing
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import ATTESTATION_OF, BASE_DIGEST, Descriptor, Index
from dfgen.sbom.model import sboms_in


class Versions:
    """Tracks the versions of a run, and the lock as their digests move. Not thread-safe.

    `todo` has the images that have not started, and `results` those that are finished; the scheduler updates
    both.
    """

    def __init__(
        self, plan: Plan, lock: Lock, how: Building, todo: Mapping[str, Step], results: Mapping[str, Result]
    ) -> None:
        """Start with the plan's images, none of them finished."""
        self.how, self.lock, self.todo, self.results = how, lock, todo, results
        self.unfinished = Counter(step.image.merged_name for step in plan.steps)  # images per version
        self.images: MutableMapping[str, Descriptor] = {}
        self.failed: dict[str, str] = {}  # versions that cannot be a parent, and what failed
        self.moved: dict[str, Relock] = {}
        self.merged: dict[str, Digest] = {}
        self.rendered: list[str] = []
        self.errors: list[DfgenError] = []
        self.entries = how.planning.layout.entries()
        self.children = children_by_parent(how.planning.catalog)

    def failed_parent(self, image: Image) -> str:
        """Return the failure of the first failed parent; "" if no parent failed."""
        return next((self.failed[key] for key in _parents(image) if key in self.failed), "")

    def is_ready(self, image: Image) -> bool:
        """Whether all parents of an image are finished, with all their platforms."""
        return not any(self.unfinished[key] for key in _parents(image))

    def current(self, step: Step) -> Step:
        """Plan an image again now that its parents are built; locks and renders it first if they moved.

        A damaged image may be intact now, because it shares a blob with a parent that was rebuilt.
        """
        moved = [self.moved[key] for key in _parents(step.image) if key in self.moved]
        if not moved and step.reason not in (Reason.PARENT, Reason.DAMAGED):
            return step
        if moved and self.how.locked:
            raise CheckError([one.refusal(step.image) for one in moved])
        if moved:
            self.rerender(step.image)
        planned = plan_image(step.image, self.lock, self.how.planning)
        if self.how.no_cache and not planned.is_needed:
            return replace(planned, reason=Reason.ASKED)
        if moved and planned.reason.is_change:
            return replace(planned, reason=Reason.PARENT, detail=listing(one.key for one in moved))
        return planned

    def rerender(self, image: Image) -> None:
        """Write an image's Dockerfile again, with the current lock."""
        path = self.how.dockerfiles.rerender(image, self.lock)
        if path:
            self.rendered.append(path)
            self.how.report(Rendered(path))

    def finish(self, image: Image) -> None:
        """Count an image as finished; the last one of a version completes the version."""
        version = image.merged_name
        self.unfinished[version] -= 1
        if not self.unfinished[version] and version not in self.failed:
            try:
                self.complete(version)
            except DfgenError as error:
                self.failed[version] = f"the merge of {version}"
                self.errors.append(error)

    def complete(self, version: str) -> None:
        """Merge a version if all its platforms are built, and pin it for its children."""
        images = self.how.planning.catalog.versions[version]
        if not all(self.is_built(image) for image in images):
            return
        merged = self.existing_index(version, images)
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
        base = self.how.dockerfiles.base
        found = merge_layout(self.how.planning.layout, self.lock, {version: images}, base=base)
        if found.failed:
            raise found.failed
        return found.merged[0].index.descriptor

    def is_built(self, image: Image) -> bool:
        """Whether the layout has an up-to-date image, even if it is not part of the plan."""
        if image.name not in self.images and image.name not in self.results:
            try:
                step = plan_image(image, self.lock, self.how.planning)
            except InputError:
                return False
            if step.built and not step.is_needed:
                self.images[image.name] = step.built
        return image.name in self.images

    def existing_index(self, version: str, images: Sequence[Image]) -> Descriptor | None:
        """The layout's merged index of a version; None unless a merge would write the same one."""
        entry = self.entries.get(version)
        layout = self.how.planning.layout
        index = layout.manifest(entry) if entry and layout.is_intact(entry) else None
        if not isinstance(index, Index):
            return None
        base = index.annotations.get(BASE_DIGEST)
        bases = map(self.how.dockerfiles.base, images)
        parents = (self.lock.parents.get(parent.key) for parent in bases if parent)
        wanted = {self.images[image.name].digest for image in images}
        listed = {(child.platform, child.digest) for child in index.images}
        same = base is None or any(parent and str(parent.digest) == base for parent in parents)
        same = same and listed == {(image.platform, self.images[image.name].digest) for image in images}
        # The index also lists one SBOM per image, if and only if the catalog asks for them.
        described = {sbom.annotations.get(ATTESTATION_OF) for sbom in sboms_in(index.manifests)}
        expected = map(str, wanted) if self.how.planning.catalog.lists_packages else ()
        return entry if same and described == set(expected) else None

    def move(self, moved: Relock) -> None:
        """Write a version's new pins into the lock, and into the Dockerfiles that are built on it.

        Dockerfiles of images that are still to be built follow in `current`, just before their build.
        """
        self.moved[moved.key] = moved
        planned = [child for child in moved.children if child.name in self.todo]
        if self.how.locked:
            if not planned:
                self.errors.append(CheckError(moved.refusal(moved.children[0])))
            return
        # The lock first: `plan_build` recovers from Dockerfiles that are older than the lock.
        self.lock = self.lock.with_parents({moved.key: moved.pinned(self.how.today)})
        self.how.dockerfiles.save(self.lock)
        for child in moved.children:
            if child not in planned and all(self.lock.pin(parent) for parent in child.all_parents):
                self.rerender(child)


def _parents(image: Image) -> list[str]:
    return [parent.key for parent in image.all_parents if parent.family]
