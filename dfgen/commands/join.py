"""Join: the images of other layouts, such as those that CI jobs leave, come into this one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dfgen.catalog.model import Image
from dfgen.commands.plan.inputs import TESTS, Inputs, Plan, Step, digest_of_tests
from dfgen.commands.plan.records import Records
from dfgen.commands.programs import check_programs
from dfgen.errors import CheckError, InputError, Problem, listing, printable
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import ATTESTATION_OF, INPUTS, REF_NAME, Descriptor, Index, Manifest

_NAMED = 3  # of the inputs that differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An image in a layout: its entry there, its manifest, and the attestations beside it."""

    source: Layout
    entry: Descriptor
    manifest: Manifest
    attestations: tuple[Descriptor, ...]

    @property
    def inputs(self) -> str:
        """The hash of what it was built from; empty where it does not say."""
        return self.manifest.annotations.get(INPUTS, "")

    @property
    def name(self) -> str:
        """How a person finds it there."""
        name = self.entry.annotations.get(REF_NAME) or self.entry.digest
        return f"{self.source.root}: {name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """An image of the catalog, and where it was found."""

    step: Step
    found: Found

    @property
    def image(self) -> Image:
        """The image."""
        return self.step.image

    @property
    def digest(self) -> Digest:
        """Its digest."""
        return self.found.entry.digest

    @property
    def origin(self) -> str:
        """The folder that it came from."""
        return str(self.found.source.root)


Recorded = Callable[[Path, Digest], Inputs | None]


class Difference:
    """What an image was built from there and would not be here."""

    def __init__(self, plan: Plan, recorded: Recorded) -> None:
        """Take the plan of this catalog, and what finds the inputs that have a hash."""
        self._steps = {f"{step.image.family.name}:{step.image.tag}": step for step in plan.steps}
        self._recorded = recorded

    def of(self, found: Found) -> str:
        """Name what differs, as `: files/a`; empty where it is not known."""
        step = self._steps.get(found.entry.annotations.get(REF_NAME, ""))
        now = step.inputs if step else None
        try:
            was = self._recorded(found.source.root, Digest(found.inputs))
        except InputError:
            return ""
        names = [f"{printable(name)}{how}" for name, how in now.changed_from(was)] if now and was else []
        more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
        return f": {listing([*names[:_NAMED], *more])}" if names else ""


def match(sources: Iterable[Layout], plan: Plan, recorded: Recorded) -> tuple[Joined, ...]:
    """Find the images of a plan in layouts, by the hash of what they were built from.

    `recorded` finds the inputs that have a hash beside the images of a folder, to say what differs.
    Errors: CheckError with every image that the catalog would not build so, and every two that should be one.
    """
    wanted: dict[str, list[Step]] = {}
    for step in plan.steps:
        wanted.setdefault(str(step.inputs.digest) if step.inputs else "", []).append(step)
    waiting = wanted.pop("", [])
    joined: dict[str, Joined] = {}
    problems: list[Problem] = []
    refused: dict[tuple[str, Digest], Found] = {}
    for found in (one for source in sources for one in _images(source)):
        steps = wanted.get(found.inputs, [])
        if not steps:
            key = (str(found.source.root), found.entry.digest)
            if key not in refused or REF_NAME in found.entry.annotations:  # an index binds it, too
                refused[key] = found
        for step in steps:
            other = joined.get(step.image.name)
            if other and other.digest != found.entry.digest:
                problems.append(Problem(None, _different(step.image, other.found, found)))
            elif other is None or TESTS in found.entry.annotations:
                joined[step.image.name] = Joined(step=step, found=found)
    difference = Difference(plan, recorded)
    problems += [Problem(None, _refusal(one, difference.of(one), waiting)) for one in refused.values()]
    if problems:
        raise CheckError(dict.fromkeys(problems))
    return tuple(joined[step.image.name] for step in plan.steps if step.image.name in joined)


def join(joined: Iterable[Joined], target: Layout, records: Records, root: Path) -> None:
    """Bring images with their attestations into the layout, blobs first, and name them in one step.

    `root` is the catalog's folder. Errors: CheckError for a blob that is missing or is not what its digest
    says, and for programs of another architecture; nothing is named then.
    """
    changes: dict[str, Descriptor] = {}
    attestations: list[Descriptor] = []
    problems: list[Problem] = []
    for one in joined:
        found = one.found
        target.copy_blobs(found.source.root, _blobs(found))
        try:
            check_programs(one.image, found.entry, target, root)
        except CheckError as error:
            problems.extend(error.problems)
        if one.step.inputs:
            records.keep(one.step.inputs)
        bare = replace(found.manifest.descriptor, platform=one.image.platform)
        changes[f"{one.image.family.name}:{one.image.tag}"] = replace(
            bare, annotations={INPUTS: found.inputs, **_tested(one)}
        )
        attestations.extend(found.attestations)
    if problems:
        raise CheckError(problems)
    target.tag(changes, attestations)


def _tested(one: Joined) -> dict[str, str]:
    """Mark the smoke tests that an image passed there, or here already: these are the same bytes."""
    here = one.step.built if one.step.built and one.step.built.digest == one.digest else None
    passed = [
        entry.annotations[TESTS] for entry in (one.found.entry, here) if entry and TESTS in entry.annotations
    ]
    wanted = str(digest_of_tests(one.image))
    return {TESTS: wanted if wanted in passed else passed[0]} if passed else {}


def _images(source: Layout) -> Iterator[Found]:
    """List the images of a layout, those that its indexes bind too."""
    entries = source.descriptors()
    if not entries:
        raise CheckError(f"{source.root}: is not a layout with images; name the folders that builds left")
    for entry in (one for one in entries if not one.is_attestation):
        document = source.manifest(entry)
        if isinstance(document, Manifest):
            yield _found(source, entry, document, entries)
        else:
            yield from _bound(source, document)


def _bound(source: Layout, index: Index) -> Iterator[Found]:
    for entry in index.images:
        document = source.manifest(entry)
        if isinstance(document, Manifest):
            yield _found(source, entry, document, index.manifests)


def _found(source: Layout, entry: Descriptor, manifest: Manifest, beside: Iterable[Descriptor]) -> Found:
    digest = str(entry.digest)
    bound = (one for one in beside if one.is_attestation and one.annotations.get(ATTESTATION_OF) == digest)
    return Found(source=source, entry=entry, manifest=manifest, attestations=tuple(bound))


def _blobs(found: Found) -> Iterator[Descriptor]:
    """List all that has to come along, manifests last."""
    for entry in (*found.attestations, found.entry):
        document = found.source.manifest(entry)
        if isinstance(document, Manifest):
            yield from document.blobs
        yield entry


def _refusal(found: Found, difference: str, waiting: Sequence[Step]) -> str:
    if not found.inputs:
        return (
            f"{found.name} was not built by dfgen, expected the layout of `dfgen build` or of its bake file"
        )
    refused = f"{found.name} is not what the catalog says, it was built from other inputs{difference}"
    if not waiting:
        return f"{refused}; build it again from this commit"
    keys = (parent.key for step in waiting for parent in step.image.all_parents if parent.family)
    lacking = f"or bring the bases/lock.json that it was built with: here {listing(dict.fromkeys(keys))}"
    return f"{refused}; build it again from this commit, {lacking} has no pin"


def _different(image: Image, one: Found, other: Found) -> str:
    both = f"{one.name} is {one.entry.digest}, {other.name} is {other.entry.digest}"
    why = "one build gives it other bytes than another one from the same inputs"
    return f"{image.name} is not reproducible: {both}; {why}, so join one of them alone"
