"""Plan: what a build would do, in order, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from dfgen.catalog.context import ContextReader
from dfgen.catalog.graph import in_order
from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog, Image
from dfgen.commands.plan.inputs import (
    EPOCH,
    TESTS,
    Causes,
    Inputs,
    Plan,
    Reason,
    Step,
    base_annotations,
    digest_of_tests,
    reason_of,
)
from dfgen.commands.plan.records import Records
from dfgen.commands.render import Dockerfiles, File
from dfgen.errors import InputError, Problem, listing
from dfgen.filetree import Folder
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import ATTESTATION_OF, INPUTS, REF_NAME, Descriptor
from dfgen.oci.platform import Platform
from dfgen.sbom.model import is_sbom

# Reasons, besides changed inputs, for which a built image may not be what the catalog says.
_MOVED = (Reason.PARENT, Reason.SBOM, Reason.TESTS, Reason.UNTESTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """What a plan is made from.

    `causes` hashes the templates, variables and pins that the Dockerfile of an image is rendered from.
    """

    catalog: Catalog
    layout: Layout
    reader: ContextReader
    records: Records
    causes: Callable[[Image, Lock], Causes]


@dataclass(frozen=True, slots=True)
class _There:
    """What the layout has, read once: images by name, and what is beside an image by its digest."""

    named: Mapping[str, Descriptor]
    beside: Mapping[str, Sequence[Descriptor]]

    @classmethod
    def read(cls, layout: Layout) -> _There:
        """List the layout's images; what is beside one, such as its SBOM, is an attestation of its digest."""
        named: dict[str, Descriptor] = {}
        beside: dict[str, list[Descriptor]] = {}
        for entry in layout.descriptors():
            if entry.is_attestation:
                beside.setdefault(entry.annotations.get(ATTESTATION_OF, ""), []).append(entry)
            elif name := entry.annotations.get(REF_NAME):
                named[name] = entry
        return cls(named, beside)


def plan(images: Iterable[Image], lock: Lock, how: Planning) -> Plan:
    """Plan the images and the versions of the catalog that they are built on, parents first.

    Errors: one InputError with the problems of all images.
    """
    there = _There.read(how.layout)
    steps: dict[str, Step] = {}
    problems: list[Problem] = []
    for image in in_order(with_parents(images, how.catalog)):
        try:
            steps[image.name] = _step(image, lock, how, there)
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(list(dict.fromkeys(problems)))
    return Plan(steps=tuple(_after_parents(steps.values())))


def judge(image: Image, lock: Lock, how: Planning) -> Step:
    """Say whether one image is to be built, now that its parents are what the lock says."""
    return _step(image, lock, how, _There.read(how.layout))


def with_parents(images: Iterable[Image], catalog: Catalog) -> list[Image]:
    """Add the versions that images are built on, each with all its platforms: the lock pins them all."""
    found: dict[str, Image] = {}
    todo = list(reversed(list(images)))
    while todo:
        image = todo.pop()
        if image.name not in found:
            found[image.name] = image
            for parent in image.all_parents:
                todo.extend(catalog.versions.get(parent.key, ()) if parent.family else ())
    return list(found.values())


def foreseen(
    images: Iterable[Image], lock: Lock, how: Planning, dockerfiles: Dockerfiles
) -> tuple[Plan, tuple[File, ...]]:
    """Plan images as if their Dockerfiles were rendered; also returns the Dockerfiles that differ on disk."""
    images = list(images)
    rendering = dockerfiles.rendering(with_parents(images, how.catalog), lock)
    texts = {file.path: file.new for file in rendering.files if file.new is not None}
    return plan(
        images,
        lock,
        replace(how, reader=ContextReader(Folder(how.catalog.root), how.catalog.versions, texts)),
    ), rendering.differing


def stale(images: Iterable[Image], lock: Lock, how: Planning, dockerfiles: Dockerfiles) -> dict[str, str]:
    """Find built images that are older than the catalog; returns by image name what has changed since."""
    names = dict.fromkeys(image.merged_name for image in images)
    versions = [image for name in names for image in how.catalog.versions[name]]
    differing = {file.path for file in dockerfiles.rendering(versions, lock).differing}
    steps = [judge(image, lock, how) for image in versions]
    moved = {one.image.name: one.why for one in steps if one.reason.is_change or one.reason in _MOVED}
    # A Dockerfile that is not rendered yet explains more than how an older one differs.
    unrendered = {
        image.name: "its Dockerfile is to be rendered" for image in versions if image.path in differing
    }
    return {**moved, **unrendered}


def _step(image: Image, lock: Lock, how: Planning, there: _There) -> Step:
    waiting = [parent.key for parent in image.all_parents if parent.family and lock.pin(parent) is None]
    built = there.named.get(f"{image.family.name}:{image.tag}")
    if waiting:
        return Step(image=image, reason=Reason.PARENT, detail=listing(dict.fromkeys(waiting)), built=built)
    inputs = _inputs(image, lock, how)
    if built is None:
        reason = Reason.PLATFORM if image.merged_name in there.named else Reason.NEW
        return Step(image=image, reason=reason, inputs=inputs)
    beside = there.beside.get(str(built.digest), ())
    reason, detail = _changes(image, lock, inputs, built, how) or (_state(image, built, beside, how), "")
    return Step(image=image, reason=reason, detail=detail, inputs=inputs, built=built)


def _inputs(image: Image, lock: Lock, how: Planning) -> Inputs:
    """Hash what an image is built from. Raises InputError with everything that BuildKit would refuse."""
    taken = how.reader.inputs(image)
    if taken.problems or taken.dockerfile is None:
        raise InputError(taken.problems)
    return Inputs(
        dockerfile=Digest.of(taken.dockerfile), files=taken.files, options=_options(image, lock, how)
    )


def _options(image: Image, lock: Lock, how: Planning) -> dict[str, str]:
    """Name what else decides about an image's bytes."""
    catalog = how.catalog
    return {
        "platform": str(image.platform),
        EPOCH: str(catalog.source_date_epoch),
        "provenance": {"": "false", "max": "true"}.get(catalog.provenance, catalog.provenance),
        **({"sbom": catalog.sbom} if catalog.sbom else {}),
        **base_annotations(image, lock),
    }


def _changes(
    image: Image, lock: Lock, inputs: Inputs, built: Descriptor, how: Planning
) -> tuple[Reason, str] | None:
    """Say what an image is built from that it was not; None when it is the same."""
    known = built.annotations.get(INPUTS, "")
    if known == str(inputs.digest):
        return None
    old = how.records.inputs(Digest(known)) if known else None
    if old is None:
        return Reason.INPUTS, ""
    return reason_of(inputs, old, how.causes(image, lock), how.records.causes(old.digest))


def _state(image: Image, built: Descriptor, beside: Sequence[Descriptor], how: Planning) -> Reason:
    """Say whether what was built from the same inputs is whole, tested and described."""
    if not all(map(how.layout.is_intact, (built, *beside))):
        return Reason.DAMAGED
    tested = built.annotations.get(TESTS)
    if image.tests and tested != str(digest_of_tests(image)):
        return Reason.TESTS if tested else Reason.UNTESTED
    if any(map(is_sbom, beside)) != how.catalog.lists_packages:
        return Reason.SBOM
    return Reason.UP_TO_DATE


def _after_parents(steps: Iterable[Step]) -> Iterator[Step]:
    """Mark what would be up to date, were it not for a parent that is rebuilt; parents come first."""
    rebuilt: set[tuple[str, Platform]] = set()
    for step in steps:
        marked = _after(step, rebuilt)
        if marked.is_needed and not marked.is_kept:
            rebuilt.add((marked.image.merged_name, marked.image.platform))
        yield marked


def _after(step: Step, rebuilt: Set[tuple[str, Platform]]) -> Step:
    families = [parent for parent in step.image.all_parents if parent.family]
    parents = [parent.key for parent in families if (parent.key, parent.platform) in rebuilt]
    if step.is_needed or not parents:
        return step
    return replace(step, reason=Reason.PARENT, detail=listing(dict.fromkeys(parents)))
