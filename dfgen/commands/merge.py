"""Merge images of several platforms into one index, in a registry or in the layout."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import TextIO

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Image, Parent
from dfgen.commands.publish import await_tag, push_by_digest
from dfgen.concurrent import CONCURRENCY, attempt, combined, each, with_place
from dfgen.errors import CheckError, DfgenError, Gathering, InputError, Place, Problem, listing
from dfgen.oci.digest import Digest
from dfgen.oci.images import Child, LocalBlobs, Remote, child_of, children_of
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import (
    ATTESTATION_OF,
    BASE_DIGEST,
    BASE_NAME,
    Descriptor,
    Index,
    Manifest,
    canonical_index,
)
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference, Repository
from dfgen.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Exceptions that a user may allow.

    `architecture_independent` allows the same layers for several architectures, `drop` allows removing
    platforms from the tag.
    """

    architecture_independent: bool = False
    drop: bool = False


def merge(
    target: str,
    children: Sequence[Child],
    annotations: Mapping[str, str] | None = None,
    before: Index | None = None,
    rules: Rules | None = None,
) -> Index:
    """Create an index of `children`; its bytes do not depend on their order.

    `before` is the target's current index: of children that it lists, its attestations and all fields of its
    entries are kept. Raises CheckError with every reason why the result would be wrong.
    """
    rules = rules or Rules()
    reasons = [*_empty(children), *_duplicates(children), *_wrong_platforms(children), *_unmatched(children)]
    if not rules.architecture_independent:
        reasons.extend(_same_layers(children))
    if before and not rules.drop:
        reasons.extend(_dropped(children, before))
    if reasons:
        raise CheckError(Problem(None, f"{target}: not merged: {reason}") for reason in reasons)
    entries = [entry for child in children for entry in child.entries]
    if before:
        entries = _with_kept(entries, before)
        annotations = {**_kept_annotations(children, before), **(annotations or {})}
    return canonical_index({_identity(entry): entry for entry in entries}.values(), annotations)


def _with_kept(entries: Sequence[Descriptor], before: Index) -> list[Descriptor]:
    """Add what the tag's index has for images that stay: fields of their entries, and attestations."""
    old = {entry.digest: entry for entry in before.manifests}
    merged = [_with_fields(entry, old.get(entry.digest)) for entry in entries]
    present = {str(entry.digest) for entry in entries}
    listed = {entry.digest for entry in entries}
    kept = [
        entry
        for entry in before.manifests
        if entry.digest not in listed and entry.annotations.get(ATTESTATION_OF) in present
    ]
    return [*merged, *kept]


def _with_fields(entry: Descriptor, old: Descriptor | None) -> Descriptor:
    """Fill the fields that an entry does not set from the tag's entry of the same digest."""
    if old is None:
        return entry
    platform = entry.platform
    if platform and old.platform:
        platform = replace(platform, extra={**old.platform.extra, **platform.extra})
    return replace(
        entry,
        platform=platform,
        annotations={**old.annotations, **entry.annotations},
        extra={**old.extra, **entry.extra},
    )


def _kept_annotations(children: Sequence[Child], before: Index) -> Mapping[str, str]:
    """Return the index's annotations; those of its base only if no image is new, as it may have another."""
    old = {entry.digest for entry in before.images}
    is_same = all(child.descriptor.digest in old for child in children)
    return {
        key: text
        for key, text in before.annotations.items()
        if is_same or key not in (BASE_NAME, BASE_DIGEST)
    }


def _identity(entry: Descriptor) -> tuple[Digest, str]:
    return entry.digest, entry.annotations.get(ATTESTATION_OF, "")


def _empty(children: Sequence[Child]) -> Iterator[str]:
    if not children:
        yield "no images to merge; expected one for each platform"


def _duplicates(children: Sequence[Child]) -> Iterator[str]:
    for one, other in combinations(children, 2):
        if one.platform == other.platform:
            both = f"{one.name} and {other.name} are both for {one.platform}"
            twice = f"{one.name} is listed twice" if one.name == other.name else both
            yield f"{twice}; expected one image for each platform"


def _wrong_platforms(children: Sequence[Child]) -> Iterator[str]:
    for child in children:
        if child.platform != child.config_platform:
            actual = f"but its configuration says {child.config_platform}"
            yield f"{child.name} is listed for {child.platform}, {actual}; rebuild it for its platform"


def _unmatched(children: Sequence[Child]) -> Iterator[str]:
    for child in children:
        if not child.platform.is_requested:
            variant = f"no client requests the variant {child.platform.variant!r}"
            why = f"{variant} of {child.platform.architecture}, so nobody could pull it"
            yield f"{child.name} is for {child.platform}: {why}; rebuild it without the variant"


def _same_layers(children: Sequence[Child]) -> Iterator[str]:
    """Find a common mistake: the image of one architecture, labelled as another's."""
    fix = "set `architecture_independent: true` in base.yaml or use --architecture-independent"
    for one, other in combinations(children, 2):
        if one.platform.architecture == other.platform.architecture or not one.layers:
            continue
        if one.layers == other.layers:
            pair = f"{one.name} ({one.platform}) and {other.name} ({other.platform})"
            wrong = f"{pair} have the same layers, so one of them has the wrong architecture"
            yield f"{wrong}; if this is intended, {fix}"


def _dropped(children: Sequence[Child], before: Index) -> Iterator[str]:
    dropped = {entry.platform for entry in before.images if entry.platform}
    dropped -= {child.platform for child in children}
    if dropped:
        platforms = listing(str(platform) for platform in sorted(dropped))
        yield f"the tag has {platforms}, which would be removed; add the missing images, or use --drop"
    # Not attestations of an image: artifacts, attestations of the index, images without a platform.
    stays = {child.descriptor.digest for child in children}
    images = {str(entry.digest) for entry in before.images}
    for entry in before.manifests:
        is_image = entry.platform is not None and not entry.is_attestation
        is_linked = entry.annotations.get(ATTESTATION_OF) in images
        if not is_image and not is_linked and entry.digest not in stays:
            unlisted = f"the tag has {entry.digest} without a platform, which would be removed"
            yield f"{unlisted}; add it to the images, or use --drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Merging:
    """How to merge in a registry.

    `expect` is the digest that the tag must have now, and `pause` is called with seconds to wait. `threads`
    limits the concurrent requests of one merge. `local_blobs`, for example the layout, saves requests for
    configurations of images that were built on this machine.
    """

    registry: Registry
    annotations: Mapping[str, str] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    expect: Digest | None = None
    dry_run: bool = False
    pause: Callable[[float], None] = time.sleep
    threads: int = CONCURRENCY
    local_blobs: LocalBlobs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """An index and its name; `before` is the previous digest of the name, None if it did not exist.

    After a dry run, nothing was written.
    """

    name: str
    index: Index
    before: Digest | None

    @property
    def digest(self) -> Digest:
        """The index's digest."""
        return self.index.descriptor.digest

    @property
    def changed(self) -> bool:
        """Whether the name had another digest, or did not exist."""
        return self.before != self.digest


def merge_published(target: Reference, sources: Sequence[Reference], how: Merging) -> Merged:
    """Merge published images and indexes under a tag; those of other repositories are copied to the target's.

    Within one repository, costs two requests per image (one if its configuration is in `local_blobs`) and one
    for the tag; if the tag changes, also one PUT and one HEAD to confirm it.
    Raises InputError if the target is not a tag, and CheckError if the index would be wrong or the tag does
    not have the expected digest.
    """
    if target.digest or not target.tag:
        raise InputError(f"{target}: cannot merge into it; use a tag, for example {target.repository}:1.0")
    read = each(lambda source: _read(source, how), sources, how.threads)
    found = [pair for pairs in read for pair in pairs]
    children = [child for _, child in found]
    index = merge(str(target), children, how.annotations, rules=how.rules)
    if not how.dry_run:
        elsewhere = [(source, child) for source, child in found if source != target.repository]
        _copy_images(elsewhere, target.repository, how)
    return _move_tag(target, children, index, how)


def _read(source: Reference, how: Merging) -> list[tuple[Repository, Child]]:
    document = how.registry.manifest(source)
    found = children_of(str(source), document, Remote(how.registry, source.repository, how.local_blobs))
    return [(source.repository, child) for child in found]


def _copy_images(found: Sequence[tuple[Repository, Child]], target: Repository, how: Merging) -> None:
    """Copy images and their attestations to the target repository: all blobs, then the manifests."""
    entries = [
        (source, child, entry) for source, child in found for entry in (child.descriptor, *child.attestations)
    ]
    results = each(lambda one: _read_missing(*one, target, how.registry), entries, how.threads)
    missing = [result for result in results if result]
    # Keyed by digest: some registries fail if the same blob is mounted twice at the same time. Blobs with
    # `urls` (Windows base layers) are not distributed by registries.
    blobs = {
        blob.digest: (blob, source)
        for source, manifest in missing
        for blob in manifest.blobs
        if "urls" not in blob.extra
    }
    each(lambda one: how.registry.copy(*one, target), blobs.values(), how.threads)
    each(lambda one: push_by_digest(how.registry, target, one[1]), missing, how.threads)


def _read_missing(
    source: Repository, child: Child, entry: Descriptor, target: Repository, registry: Registry
) -> tuple[Repository, Manifest] | None:
    """Read a manifest from its repository, unless the target repository has it."""
    if registry.find(Reference(target, digest=entry.digest)):
        return None
    cached = child.manifest if entry is child.descriptor else None
    manifest = cached or registry.manifest(Reference(source, digest=entry.digest))
    if isinstance(manifest, Index):
        raise CheckError(f"{child.name}: its attestation {entry.digest} is an index, expected a manifest")
    return source, manifest


def _move_tag(target: Reference, children: Sequence[Child], index: Index, how: Merging) -> Merged:
    # The tag is read last, to leave little time in which another writer could move it.
    before = how.registry.current(target)
    digest = before.descriptor.digest if before else None
    current = (
        _as_index(target, before, children, how) if before and digest != index.descriptor.digest else None
    )
    if current:
        relaxed = replace(how.rules, drop=True)  # platforms are checked below, after `expect`
        index = merge(str(target), children, how.annotations, current, relaxed)
    merged = Merged(name=str(target), index=index, before=digest)
    if not merged.changed:
        return merged
    if how.expect and how.expect != digest:
        actual = f"the tag has {digest}" if digest else "the tag does not exist"
        fix = f"check it with `dfgen inspect {target}`, then merge again"
        raise CheckError(f"{target}: not merged: expected {how.expect}, but {actual}; {fix}")
    if current and not how.rules.drop:
        merge(str(target), children, how.annotations, current, how.rules)
    if not how.dry_run:
        how.registry.put_manifest(target, index.raw, index.media_type)
        await_tag(how.registry, target, merged.digest, how.pause)
    return merged


def _as_index(
    target: Reference, document: Manifest | Index, children: Sequence[Child], how: Merging
) -> Index:
    """Return a tag's document as an index; a single image that is not a child is read for its platform."""
    if isinstance(document, Index):
        return document
    found: Sequence[Child] = [
        child for child in children if child.descriptor.digest == document.descriptor.digest
    ]
    if not found:
        found = children_of(str(target), document, Remote(how.registry, target.repository, how.local_blobs))
    return canonical_index(entry for child in found for entry in child.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRequest:
    """One merge of a list: its tag, the images and indexes to merge, and its line."""

    target: Reference
    children: tuple[Reference, ...]
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeResults:
    """The merges that succeeded, and the combined errors of the others."""

    done: tuple[Merged, ...]
    failed: DfgenError | None = None


_CONCURRENT_MERGES = 16  # each has one request under way: as many as the client keeps connections


def merge_all(requests: Sequence[MergeRequest], how: Merging) -> MergeResults:
    """Run merges concurrently; errors have the line of their request."""
    # One thread per merge: nested pools would cost more than they save.
    single = replace(how, threads=1)

    def run(request: MergeRequest) -> Merged:
        try:
            return merge_published(request.target, request.children, single)
        except DfgenError as error:
            raise with_place(request.place, error) from error

    results = attempt(run, requests, _CONCURRENT_MERGES)
    failures = [result for result in results if isinstance(result, DfgenError)]
    done = tuple(result for result in results if isinstance(result, Merged))
    return MergeResults(done=done, failed=combined(failures) if failures else None)


def read_list(source: Path | TextIO) -> tuple[MergeRequest, ...]:
    """Read a list of merges from a file or stream. Raises InputError if it is unreadable or invalid."""
    file = str(source) if isinstance(source, Path) else "standard input"
    try:
        text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source.read()
    except OSError as error:
        raise InputError(Problem(Place(file), f"cannot be read: {error.strerror}")) from error
    except UnicodeDecodeError as error:
        raise InputError(Problem(Place(file), "is not UTF-8 text")) from error
    return parse_list(text, file)


def parse_list(text: str, file: str) -> tuple[MergeRequest, ...]:
    """Parse lines of `NAME:TAG CHILD...`; empty lines and text after a `#` are ignored.

    Raises InputError with the problems of all lines. A line must not use the result of another one, because
    all merges run concurrently.
    """
    gathering = Gathering()
    requests: list[MergeRequest] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            with gathering.at(Place(file, number)):
                requests.append(_parse_line(words, Place(file, number)))
    first_of: dict[Reference, MergeRequest] = {}
    for request in requests:
        first_of.setdefault(request.target, request)
    for request in requests:
        with gathering.step():
            _check_independent(request, first_of)
    gathering.check()
    if not requests:
        raise InputError(Problem(Place(file), "has no merges; expected lines of NAME:TAG CHILD..."))
    return tuple(requests)


def _parse_line(words: Sequence[str], place: Place) -> MergeRequest:
    if len(words) < 2:
        raise InputError(f"{words[0]} has no children; expected NAME:TAG CHILD...")
    target, *children = [Reference.parse(word) for word in words]
    return MergeRequest(target=target, children=tuple(children), place=place)


def _check_independent(request: MergeRequest, first_of: Mapping[Reference, MergeRequest]) -> None:
    """Raise InputError if a request uses the result of another; `first_of` has the first of each target."""
    first = first_of[request.target]
    if first is not request:
        raise _invalid(request, f"{request.target} is already merged on line {_line(first)}; list it once")
    for child in request.children:
        other = first_of.get(child, request)
        if other is not request:
            nested = f"{child} is itself merged on line {_line(other)}"
            raise _invalid(request, f"{nested}; list its images instead")


def _line(request: MergeRequest) -> int:
    return request.place.line if request.place else 0


def _invalid(request: MergeRequest, message: str) -> InputError:
    return InputError(Problem(request.place, message))


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutMerges:
    """The merges in the layout; `waiting` has the missing platforms of each incomplete version."""

    merged: tuple[Merged, ...]
    waiting: Mapping[str, tuple[Platform, ...]]
    failed: DfgenError | None = None


def merge_layout(
    store: Layout,
    lock: Lock,
    versions: Mapping[str, Sequence[Image]],
    built: Mapping[str, Digest] | None = None,
    base: Callable[[Image], Parent | None] = lambda image: image.parent,
) -> LayoutMerges:
    """Merge the images of each version, for example `java-base:1.0`, if the layout has all of its platforms.

    `built` has the required digest of each image by its name in the layout (`java-base:1.0-aarch64`); without
    it, any image of that name is merged. `base` returns the parent that an image is based on. All names are
    written in one atomic step.
    """
    entries = store.entries()
    waiting = {
        name: missing for name, images in versions.items() if (missing := _missing(images, entries, built))
    }
    names = [name for name in versions if name not in waiting]
    annotations = {name: _base(map(base, versions[name]), lock) for name in names}
    results = attempt(
        lambda name: _merge_version(name, versions[name], store, annotations[name], entries), names
    )
    merged = tuple(result for result in results if isinstance(result, Merged))
    failures = [result for result in results if isinstance(result, DfgenError)]
    changed = {one.name: one.index.descriptor for one in merged if one.changed}
    if changed:
        store.tag(changed)
    return LayoutMerges(merged=merged, waiting=waiting, failed=combined(failures) if failures else None)


def _missing(
    images: Sequence[Image], entries: Mapping[str, Descriptor], built: Mapping[str, Digest] | None
) -> tuple[Platform, ...]:
    def is_present(image: Image) -> bool:
        entry = entries.get(image.layout_name)
        return entry is not None and (built is None or built.get(image.layout_name) == entry.digest)

    return tuple(image.platform for image in images if not is_present(image))


def _merge_version(
    name: str,
    images: Sequence[Image],
    store: Layout,
    annotations: Mapping[str, str],
    entries: Mapping[str, Descriptor],
) -> Merged:
    children = [_child(image, store, entries) for image in images]
    rules = Rules(architecture_independent=images[0].family.architecture_independent)
    index = merge(name, children, annotations, rules=rules)
    before = entries.get(name)
    merged = Merged(name=name, index=index, before=before.digest if before else None)
    if merged.changed or not store.is_intact(index.descriptor):
        store.add(index.raw)
    return merged


def _child(image: Image, store: Layout, entries: Mapping[str, Descriptor]) -> Child:
    name = image.layout_name
    entry = entries[name]
    manifest = store.manifest(entry)
    if isinstance(manifest, Index):
        raise CheckError(f"{name}: is an index, expected an image manifest; run `dfgen build {image.name}`")
    # Not the layout's own entry: its annotations (name, inputs, tests) do not belong into the index.
    descriptor = Descriptor.of(manifest.raw, manifest.media_type, image.platform)
    return child_of(name, descriptor, manifest, store, store.attestations(entry.digest))


def _base(parents: Iterable[Parent | None], lock: Lock) -> Mapping[str, str]:
    """Return the annotations for the base's index, if all platforms of a version have the same base."""
    found = {parent.key if parent else "": parent for parent in parents}
    parent = next(iter(found.values())) if len(found) == 1 else None
    locked = lock.parents.get(parent.key) if parent else None
    if parent is None or locked is None:
        return {}
    return {BASE_NAME: str(parent.reference.without_digest()), BASE_DIGEST: str(locked.digest)}
