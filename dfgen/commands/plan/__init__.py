"""Plan: which images a build would build, in order, and why."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dfgen.catalog import packagelock
from dfgen.catalog.context import ContextReader
from dfgen.catalog.graph import base_of, in_order
from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog, Image
from dfgen.catalog.packagelock import PackageLock
from dfgen.commands.explain import template_lines
from dfgen.commands.plan.inputs import (
    EPOCH,
    PACKAGES,
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
from dfgen.commands.render import Dockerfiles, File, Rendering
from dfgen.errors import ExternalError, Gathering, InputError, Problem, first_few, listing
from dfgen.filetree import Folder
from dfgen.oci.digest import Digest
from dfgen.oci.images import mislabelled
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import ATTESTATION_OF, INPUTS, REF_NAME, Descriptor
from dfgen.oci.platform import Platform
from dfgen.sbom.model import is_sbom

if TYPE_CHECKING:
    from dfgen.engine.nodes import Nodes

# Reasons, besides changed inputs, why a built image may be older than the catalog.
_STALE = (Reason.PARENT, Reason.NO_SBOM, Reason.EXTRA_SBOM, Reason.TESTS, Reason.UNTESTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """The parts that plans are made from.

    `causes` hashes the templates, variables and pins that the Dockerfile of an image is rendered from.
    """

    catalog: Catalog
    layout: Layout
    reader: ContextReader
    records: Records
    causes: Callable[[Image, Lock], Causes]


@dataclass(frozen=True, slots=True)
class _Built:
    """The images in the layout, by tag, and their attestations, by the image's digest."""

    images: Mapping[str, Descriptor]
    attestations: Mapping[str, Sequence[Descriptor]]

    @classmethod
    def read(cls, layout: Layout) -> _Built:
        images: dict[str, Descriptor] = {}
        attestations: dict[str, list[Descriptor]] = {}
        for entry in layout.descriptors():
            if entry.is_attestation:
                attestations.setdefault(entry.annotations.get(ATTESTATION_OF, ""), []).append(entry)
            elif name := entry.annotations.get(REF_NAME):
                images[name] = entry
        return cls(images, attestations)


def plan(images: Iterable[Image], lock: Lock, how: Planning) -> Plan:
    """Plan images and their parents in the catalog, parents first.

    Raises one InputError with the problems of all images.
    """
    built = _Built.read(how.layout)
    steps: dict[str, Step] = {}
    problems: list[Problem] = []
    for image in in_order(with_parents(images, how.catalog)):
        try:
            steps[image.name] = _step(image, lock, how, built)
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(list(dict.fromkeys(problems)))
    return Plan(steps=tuple(_after_parents(steps.values())))


def plan_image(image: Image, lock: Lock, how: Planning) -> Step:
    """Plan one image, assuming that its parents are built with the digests in the lock."""
    return _step(image, lock, how, _Built.read(how.layout))


def with_parents(images: Iterable[Image], catalog: Catalog) -> list[Image]:
    """Add the parents in the catalog, each with all its platforms, since the lock pins them all."""
    found: dict[str, Image] = {}
    todo = list(reversed(list(images)))
    while todo:
        image = todo.pop()
        if image.name not in found:
            found[image.name] = image
            for parent in image.all_parents:
                todo.extend(catalog.versions.get(parent.key, ()) if parent.family else ())
    return list(found.values())


def plan_rendered(
    images: Iterable[Image], lock: Lock, how: Planning, dockerfiles: Dockerfiles
) -> tuple[Plan, tuple[File, ...]]:
    """Plan images as if their Dockerfiles were rendered. Also returns the Dockerfiles that differ on disk."""
    images = list(images)
    rendering = dockerfiles.rendering(with_parents(images, how.catalog), lock)
    texts = {file.path: file.new for file in rendering.files if file.new is not None}
    folder = Folder(how.catalog.root)
    reader = ContextReader(folder, how.catalog.versions, texts, upstream=lock.triggers)
    found = plan_checked(images, lock, replace(how, reader=reader), rendering, dockerfiles)
    return found, (*rendering.differing, *rendering.stale)


def plan_checked(
    images: Sequence[Image], lock: Lock, how: Planning, rendering: Rendering, dockerfiles: Dockerfiles
) -> Plan:
    """Plan images, and check the contexts of those that wait for a parent: nothing else does until then.

    Raises one InputError with all problems; those of several Dockerfiles are merged at the template's line.
    """
    how = replace(how, reader=how.reader.overlaid({one.image.path: one.text for one in rendering.waiting}))
    gathering = Gathering()
    found = Plan(steps=())
    with gathering.step():
        found = plan(images, lock, how)
    for one in rendering.waiting:
        gathering.problems.extend(how.reader.inputs(one.image).problems)
    gathering.problems = [*_at_templates(gathering.problems, lock, dockerfiles)]
    gathering.check()
    return found


def _at_templates(problems: Iterable[Problem], lock: Lock, dockerfiles: Dockerfiles) -> Iterator[Problem]:
    """Move problems of Dockerfiles to the template's line; the same one of a family's files is merged."""
    images = {image.path: image for image in dockerfiles.catalog.images}
    merged: dict[tuple[object, ...], list[Problem]] = {}
    seen: Counter[tuple[object, ...]] = Counter()
    for one in dict.fromkeys(problems):
        image = images.get(one.place.file) if one.place else None
        if image is None or not one.place or not one.place.line:
            merged[one,] = [one]
            continue
        # The count keeps equal problems of one Dockerfile apart.
        key = (image.family.name, image.template, one.message)
        seen[*key, image.path] += 1
        merged.setdefault((*key, seen[*key, image.path]), []).append(one)
    for first, *others in merged.values():
        image = images.get(first.place.file) if first.place else None
        lines = template_lines(dockerfiles.catalog, lock, dockerfiles.templates, image) if image else ()
        at = first.place.line - 1 if first.place else -1
        place = lines[at] if 0 <= at < len(lines) else None
        count = f" (in {len(others) + 1} files)" if others else ""
        yield Problem(place or first.place, f"{first.message}{count}")


def node_notes(plan: Plan, nodes: Nodes) -> tuple[str, ...]:
    """Name the platforms that a build would emulate and the nodes that it would skip, a sentence each."""
    try:
        checked = nodes.check((step.image.platform for step in plan.needed), plan.tested)
    except ExternalError as error:
        return (f"cannot check the build nodes: {'; '.join(str(error).splitlines())}",)
    return (*checked.skipped, *checked.emulated)


def stale(images: Iterable[Image], lock: Lock, how: Planning, dockerfiles: Dockerfiles) -> dict[str, str]:
    """Find built images that are older than the catalog. Returns the reason by image name."""
    names = dict.fromkeys(image.merged_name for image in images)
    versions = [image for name in names for image in how.catalog.versions[name]]
    differing = {file.path for file in dockerfiles.rendering(versions, lock).differing}
    steps = [plan_image(image, lock, how) for image in versions]
    changed = {one.image.name: one.why for one in steps if one.reason.is_change or one.reason in _STALE}
    # A Dockerfile that was not rendered explains more than the inputs of the old one.
    unrendered = {
        image.name: "its Dockerfile is out of date" for image in versions if image.path in differing
    }
    return {**changed, **unrendered}


def _step(image: Image, lock: Lock, how: Planning, layout: _Built) -> Step:
    unpinned = [parent.key for parent in image.all_parents if parent.family and lock.pin(parent) is None]
    built = layout.images.get(image.layout_name)
    if unpinned:
        return Step(image=image, reason=Reason.PARENT, detail=listing(dict.fromkeys(unpinned)), built=built)
    inputs = _inputs(image, lock, how)
    packages = packagelock.read(how.catalog.root, image.package_lock) if image.locks_packages else None
    if built is None:
        reason = Reason.PLATFORM if image.merged_name in layout.images else Reason.NEW
        return Step(image=image, reason=reason, inputs=inputs)
    attestations = layout.attestations.get(str(built.digest), ())
    reason, detail = _changes(image, lock, inputs, built, how) or (
        _state(image, built, attestations, packages, how)
    )
    return Step(image=image, reason=reason, detail=detail, inputs=inputs, built=built)


def _inputs(image: Image, lock: Lock, how: Planning) -> Inputs:
    """Hash the inputs of an image. Raises InputError with everything that BuildKit would refuse."""
    taken = how.reader.inputs(image)
    if taken.problems or taken.dockerfile is None:
        raise InputError(taken.problems)
    context = str(image.family.context)
    own = posixpath.relpath(image.package_lock, context)
    if image.locks_packages and own in taken.files:
        advice = f"add `{own}` to the ignore file of {context}/"
        message = f"the Dockerfile takes {image.package_lock} from the context, but builds write it; {advice}"
        raise InputError(Problem(image.place, message))
    return Inputs(
        dockerfile=Digest.of(taken.dockerfile),
        files=taken.files,
        options=_options(image, taken.dockerfile.decode("utf-8", errors="replace"), lock, how),
    )


def _options(image: Image, dockerfile: str, lock: Lock, how: Planning) -> dict[str, str]:
    """The options that change an image's bytes, besides its files."""
    catalog = how.catalog
    return {
        "platform": str(image.platform),
        EPOCH: str(catalog.source_date_epoch),
        "provenance": {"": "false", "max": "true"}.get(catalog.provenance, catalog.provenance),
        **({"sbom": catalog.sbom} if catalog.sbom else {}),
        **base_annotations(base_of(image, dockerfile, catalog), lock),
    }


def _changes(
    image: Image, lock: Lock, inputs: Inputs, built: Descriptor, how: Planning
) -> tuple[Reason, str] | None:
    """Return the changes of an image's inputs since it was built; None if nothing changed."""
    recorded = built.annotations.get(INPUTS, "")
    if recorded == str(inputs.digest):
        return None
    old = how.records.inputs(Digest(recorded)) if recorded else None
    if old is None:
        return Reason.INPUTS, ""
    return reason_of(inputs, old, how.causes(image, lock), how.records.causes(old.digest))


def _state(
    image: Image,
    built: Descriptor,
    attestations: Sequence[Descriptor],
    packages: PackageLock | None,
    how: Planning,
) -> tuple[Reason, str]:
    """Check whether an image with the same inputs is intact, and has the tests, packages and SBOM it should.

    Returns the reason to update it, and its detail.
    """
    if not all(map(how.layout.is_intact, (built, *attestations))):
        return Reason.DAMAGED, ""
    if mislabelled(built, image.platform, how.layout):
        return Reason.MISLABELLED, ""
    if moved := _packages(image, built, packages, how):
        return moved
    tested = built.annotations.get(TESTS)
    if image.tests and tested != str(digest_of_tests(image)):
        return Reason.TESTS if tested else Reason.UNTESTED, ""
    if any(map(is_sbom, attestations)) != how.catalog.lists_packages:
        return Reason.NO_SBOM if how.catalog.lists_packages else Reason.EXTRA_SBOM, ""
    return Reason.UP_TO_DATE, ""


def _packages(
    image: Image, built: Descriptor, packages: PackageLock | None, how: Planning
) -> tuple[Reason, str] | None:
    """Compare the packages of a built image with its lock; None if they are equal, or need not be."""
    if not image.locks_packages:
        return None
    recorded = built.annotations.get(PACKAGES)
    if packages is None or recorded is None:
        return Reason.UNLOCKED, ""
    if recorded == str(packages.digest):
        return None
    old = how.records.packages(Digest(recorded))
    moves = packages.moves_from(old) if old else ()
    return Reason.PACKAGES, first_few(list(dict.fromkeys(move.name for move in moves)))


def _after_parents(steps: Iterable[Step]) -> Iterator[Step]:
    """Mark images that are up to date but whose parent is rebuilt; parents come first."""
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
