"""Join: copy the images of other layouts into this one, for example the layouts of CI jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dfgen.catalog import packagelock
from dfgen.catalog.model import Image
from dfgen.catalog.packagelock import PackageLock
from dfgen.commands.packages import added_packages, check_packages
from dfgen.commands.plan.inputs import PACKAGES, TESTS, Plan, Step, digest_of_tests
from dfgen.commands.plan.records import Records
from dfgen.commands.programs import check_programs
from dfgen.errors import CheckError, InputError, Problem, first_few, listing, printable
from dfgen.oci.digest import Digest
from dfgen.oci.images import mislabelled
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import ATTESTATION_OF, INPUTS, REF_NAME, Descriptor, Index, Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An image in another layout: its entry, its manifest, and its attestations."""

    source: Layout
    entry: Descriptor
    manifest: Manifest
    attestations: tuple[Descriptor, ...]

    @property
    def inputs(self) -> str:
        """The hash of the inputs that it was built from; empty if it has none."""
        return self.manifest.annotations.get(INPUTS, "")

    @property
    def name(self) -> str:
        """Its layout and its tag or digest, for messages."""
        name = self.entry.annotations.get(REF_NAME) or self.entry.digest
        return f"{self.source.root}: {name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """An image of the catalog, found in another layout."""

    step: Step
    found: Found

    @property
    def image(self) -> Image:
        """The image in the catalog."""
        return self.step.image

    @property
    def digest(self) -> Digest:
        """Its digest."""
        return self.found.entry.digest

    @property
    def origin(self) -> str:
        """The folder of the layout that has it."""
        return str(self.found.source.root)


def match(sources: Iterable[Layout], plan: Plan) -> tuple[Joined, ...]:
    """Find the images of a plan in other layouts, by the hash of their inputs.

    Raises CheckError with every image whose inputs are not those of the catalog, and with every image that
    the layouts have with two digests.
    """
    wanted: dict[str, list[Step]] = {}
    for step in plan.steps:
        wanted.setdefault(str(step.inputs.digest) if step.inputs else "", []).append(step)
    unpinned = wanted.pop("", [])
    joined: dict[str, Joined] = {}
    problems: list[Problem] = []
    refused: dict[tuple[str, Digest], Found] = {}
    for found in (one for source in sources for one in _images(source)):
        steps = wanted.get(found.inputs, [])
        if not steps:
            key = (str(found.source.root), found.entry.digest)
            # An index can list the image as well: prefer the entry with a tag, for the message.
            if key not in refused or REF_NAME in found.entry.annotations:
                refused[key] = found
        for step in steps:
            other = joined.get(step.image.name)
            if other and other.digest != found.entry.digest:
                problems.append(Problem(None, _not_reproducible(step.image, other.found, found)))
            elif other is None or TESTS in found.entry.annotations:
                joined[step.image.name] = Joined(step=step, found=found)
    problems += [Problem(None, _refusal(one, _differing(one, plan), unpinned)) for one in refused.values()]
    if problems:
        raise CheckError(dict.fromkeys(problems))
    return tuple(joined[step.image.name] for step in plan.steps if step.image.name in joined)


def join(joined: Iterable[Joined], target: Layout, records: Records, root: Path) -> None:
    """Copy images and their attestations into the layout, blobs first, and tag all of them at once.

    `root` is the catalog's folder. Raises CheckError if a blob is missing or does not match its digest, or if
    an image, or programs in it, are for another architecture, or if it has other packages than its lock; no
    image is tagged then. A missing package lock is written.
    """
    changes: dict[str, Descriptor] = {}
    attestations: list[Descriptor] = []
    problems: list[Problem] = []
    unlocked: dict[str, PackageLock] = {}
    for one in joined:
        found, image, locked = one.found, one.image, {}
        target.copy_blobs(found.source.root, _blobs(found))
        try:
            check_programs(image, found.entry, target, root)
            if image.locks_packages:
                packages = added_packages(image, found.entry, target, root)
                if packagelock.read(root, image.package_lock):
                    check_packages(image, packages, root)
                else:
                    unlocked[image.package_lock] = packages
                records.keep_packages(packages)
                locked = {PACKAGES: str(packages.digest)}
        except CheckError as error:
            problems.extend(error.problems)
        if wrong := mislabelled(found.entry, one.image.platform, found.source):
            problems.append(Problem(None, f"{found.name} is not {one.image.name}: {wrong}; build it again"))
        if one.step.inputs:
            records.keep(one.step.inputs)
        bare = replace(found.manifest.descriptor, platform=one.image.platform)
        changes[one.image.layout_name] = replace(
            bare, annotations={INPUTS: found.inputs, **locked, **_tested(one)}
        )
        attestations.extend(found.attestations)
    if problems:
        raise CheckError(problems)
    for path, packages in unlocked.items():
        packagelock.write(root, path, packages)
    target.tag(changes, attestations)


def _tested(one: Joined) -> dict[str, str]:
    """The annotation with the smoke tests that an image passed, there or here: the digests are equal."""
    here = one.step.built if one.step.built and one.step.built.digest == one.digest else None
    passed = [
        entry.annotations[TESTS] for entry in (one.found.entry, here) if entry and TESTS in entry.annotations
    ]
    wanted = str(digest_of_tests(one.image))
    return {TESTS: wanted if wanted in passed else passed[0]} if passed else {}


def _images(source: Layout) -> Iterator[Found]:
    """Find the images of a layout, including those that only an index lists, as bake writes them."""
    entries = source.descriptors()
    if not entries:
        raise CheckError(
            f"{source.root}: is not a layout with images; pass folders that `dfgen build` or bake wrote"
        )
    for entry in (one for one in entries if not one.is_attestation):
        document = source.manifest(entry)
        if isinstance(document, Manifest):
            yield _found(source, entry, document, entries)
        else:
            yield from _children(source, document)


def _children(source: Layout, index: Index) -> Iterator[Found]:
    for entry in index.images:
        document = source.manifest(entry)
        if isinstance(document, Manifest):
            yield _found(source, entry, document, index.manifests)


def _found(source: Layout, entry: Descriptor, manifest: Manifest, siblings: Iterable[Descriptor]) -> Found:
    digest = str(entry.digest)
    attestations = (
        one for one in siblings if one.is_attestation and one.annotations.get(ATTESTATION_OF) == digest
    )
    return Found(source=source, entry=entry, manifest=manifest, attestations=tuple(attestations))


def _blobs(found: Found) -> Iterator[Descriptor]:
    """All blobs of an image and its attestations, each manifest after the blobs that it lists."""
    for entry in (*found.attestations, found.entry):
        document = found.source.manifest(entry)
        if isinstance(document, Manifest):
            yield from document.blobs
        yield entry


def _differing(found: Found, plan: Plan) -> str:
    """Name the inputs that differ from the catalog's, as `: files/a`; empty if they are not recorded."""
    tag = found.entry.annotations.get(REF_NAME, "")
    steps = (step for step in plan.steps if step.image.layout_name == tag)
    step = next(steps, None)
    try:
        old = Records(found.source.root).inputs(Digest(found.inputs))
    except InputError:  # the image has no hash of inputs, or a malformed one
        return ""
    if not step or not step.inputs or not old:
        return ""
    names = [f"{printable(name)}{remark}" for name, remark in step.inputs.changed_from(old)]
    return f": {first_few(names)}" if names else ""


def _refusal(found: Found, differing: str, unpinned: Sequence[Step]) -> str:
    if not found.inputs:
        return f"{found.name} was not built by dfgen; join layouts of `dfgen build` or of its bake file"
    refused = f"{found.name} was built from other inputs than the catalog's{differing}"
    if not unpinned:
        return f"{refused}; rebuild it from this commit"
    keys = (parent.key for step in unpinned for parent in step.image.all_parents if parent.family)
    missing = f"copy the bases/lock.json of its build, since {listing(dict.fromkeys(keys))} has no pin here"
    return f"{refused}; rebuild it from this commit, or {missing}"


def _not_reproducible(image: Image, one: Found, other: Found) -> str:
    both = f"{one.name} is {one.entry.digest}, {other.name} is {other.entry.digest}"
    why = "two builds of the same inputs have different digests, so join only one of them"
    return f"{image.name} is not reproducible: {both}; {why}"
