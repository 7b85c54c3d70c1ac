"""Publish: the layout to registries, so that whoever pulls a tag meanwhile gets all of the old or the new."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dfgen.catalog.model import Catalog, Image
from dfgen.commands.publish.ledger import Ledger
from dfgen.commands.publish.release import Bundle, Release, Tag, bundle_of, outdated, refusal
from dfgen.concurrent import attempt, combined, each
from dfgen.errors import CheckError, DfgenError, ExternalError, Problem
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import INPUTS, Descriptor, Index, Manifest
from dfgen.oci.reference import Reference, Repository
from dfgen.registry import Registry

BlobKey = tuple[str, Digest]  # registry and digest


@dataclass(frozen=True, slots=True)
class Transfer:
    """A blob that one registry gets: the repositories that want it, and those that may have it already."""

    descriptor: Descriptor
    wanted: dict[Repository, None] = field(default_factory=dict)
    homes: dict[Repository, None] = field(default_factory=dict)


def transfers(releases: Sequence[Release], catalog: Catalog) -> Mapping[BlobKey, Transfer]:
    """List the blobs of all manifests that are missing."""
    found: dict[BlobKey, Transfer] = {}
    for release in releases:
        homes = dict.fromkeys(_parents(release, catalog))
        for key, blob in _blobs_missing(release):
            transfer = found.setdefault(key, Transfer(blob))
            transfer.wanted[release.repository] = None
            transfer.homes.update(homes)
    for release in releases:
        for key in _blobs_there(release):
            if key in found:
                found[key].homes[release.repository] = None
    return found


def keys_of(release: Release) -> Iterable[BlobKey]:
    """The blobs that have to be there before a release's manifests."""
    return (key for key, _ in _blobs_missing(release))


def _blobs_missing(release: Release) -> Iterator[tuple[BlobKey, Descriptor]]:
    for manifest in release.missing:
        for blob in manifest.blobs:
            yield (release.repository.registry, blob.digest), blob


def _blobs_there(release: Release) -> Iterator[BlobKey]:
    for image, tag in release.images.items():
        if not tag.changes:
            blobs = release.bundle.images[image].blobs
            yield from ((release.repository.registry, blob.digest) for blob in blobs)


def _parents(release: Release, catalog: Catalog) -> Iterator[Repository]:
    """The parents' repositories in the same registry: it may take their layers from there."""
    for image in release.bundle.images:
        parent = image.parent
        if parent.family:
            home = catalog.reference(parent.family, parent.version, release.registry)
        else:
            home = catalog.mirrored(parent.reference)
        if home.repository.registry == release.repository.registry:
            yield home.repository


_PAUSES = (0.25, 0.5, 1.0, 2.0, 4.0)  # seconds before each further look, for registries that lag


def read_back(
    registry: Registry, reference: Reference, digest: Digest, pause: Callable[[float], None]
) -> None:
    """Wait until a tag shows what was pushed.

    Raises ExternalError if it does not within seconds: the registry lags too far, or somebody else wrote it.
    """
    for wait in (0.0, *_PAUSES):
        if wait:
            pause(wait)
        found = registry.find(reference)
        if found and found.digest == digest:
            return
    shown = str(found.digest) if found else "nothing"
    advice = "another writer moved the tag, or the registry lags; look with `dfgen inspect` and run it again"
    raise ExternalError(f"{reference}: pushed {digest}, but the registry shows {shown}; {advice}")


_LOOKS_AT_ONCE = 16  # tags that are looked at: as many as connections are kept


def _ignore(_count: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """How to publish: to which registries, each a prefix such as `registry.example/team`.

    `total` is told once how many bytes there are at most, `progress` how many more are there now (fewer than
    none when a try starts over); `pause` waits for some seconds. `stale` says of images, by name, in what the
    catalog has moved on since they were built.
    """

    catalog: Catalog
    store: Layout
    registry: Registry
    ledger: Ledger
    registries: Sequence[str]
    stale: Mapping[str, str] = field(default_factory=dict)
    force: bool = False
    total: Callable[[int], None] = _ignore
    progress: Callable[[int], None] = _ignore
    pause: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What was published whole, and what failed; a second run goes on where this one ended."""

    done: tuple[Release, ...]
    failed: DfgenError | None = None


def plan(images: Sequence[Image], how: Publishing) -> tuple[Release, ...]:
    """See what publishing the versions of these images will do: a HEAD a tag, and a HEAD a new manifest.

    Errors: CheckError for versions that are not whole in the layout, besides what registries raise.
    """
    names = dict.fromkeys(image.merged_name for image in images)
    entries = how.store.entries()
    bundles = each(lambda name: bundle_of(name, how.catalog.versions[name], how.store, entries), names)
    pairs = [(bundle, registry) for registry in how.registries for bundle in bundles]
    seen = how.ledger.seen()
    wanted = [_wanted(bundle, registry, how) for bundle, registry in pairs]
    looked = [reference for tags in wanted for reference in tags]
    # All versions' tags together: threads for each version would be more than connections are kept.
    now = dict(zip(looked, each(lambda one: _now(one, how), looked, _LOOKS_AT_ONCE), strict=True))
    tags = [[Tag(reference=one, digest=tags[one], now=now[one]) for one in tags] for tags in wanted]
    return tuple(each(lambda one: _release(*one[0], one[1], seen, how), zip(pairs, tags, strict=True)))


def check(releases: Iterable[Release]) -> None:
    """Refuse to publish what is stale, and to overwrite what must not be.

    Errors: CheckError with every version and tag concerned.
    """
    refusals = dict.fromkeys(refused for release in releases for refused in release.refusals)
    if refusals:
        raise CheckError(Problem(None, refused) for refused in refusals)


def publish(releases: Sequence[Release], how: Publishing) -> Published:
    """Do what was planned: all blobs, then version by version the manifests, architectures' tags, merged tag.

    Errors: CheckError for a tag that must not be overwritten, before anything is written.
    """
    check(releases)
    seen = how.ledger.seen()
    tags = {str(tag.reference): tag for release in releases for tag in release.tags}
    # Before the first tag moves: a run that is killed must know again what it replaces and what it writes.
    how.ledger.record(
        {
            name: {*seen.get(name, ()), tag.digest, *([tag.now] if tag.now else [])}
            for name, tag in tags.items()
        }
    )
    failures = _upload(releases, how)
    results = attempt(lambda release: _write(release, failures, how), releases)
    done = tuple(result for result in results if isinstance(result, Release))
    how.ledger.record({str(tag.reference): {tag.digest} for release in done for tag in release.tags})
    errors = [result for result in results if isinstance(result, DfgenError)]
    return Published(done=done, failed=combined(errors) if errors else None)


def _wanted(bundle: Bundle, registry: str, how: Publishing) -> Mapping[Reference, Digest]:
    """The tags of a version with the digests that they will have; the merged one is the last."""
    digests = {image.tag: manifest.descriptor.digest for image, manifest in bundle.images.items()}
    first = next(iter(bundle.images))
    digests[first.version] = bundle.index.descriptor.digest
    return {how.catalog.reference(first.family.name, tag, registry): one for tag, one in digests.items()}


def _release(
    bundle: Bundle, registry: str, tags: Sequence[Tag], seen: Mapping[str, frozenset[Digest]], how: Publishing
) -> Release:
    known = ((tag, _known(tag, seen, how)) for tag in tags)
    why = [refusal(tag, bundle.immutable, digests, how.force) for tag, digests in known]
    *own, merged = tags
    release = Release(
        bundle=bundle,
        registry=registry,
        images=dict(zip(bundle.images, own, strict=True)),
        merged=merged,
        missing=(),
        refusals=tuple(filter(None, (outdated(bundle, how.stale), *why))),
    )
    return replace(release, missing=_missing(release, how))


def _known(tag: Tag, seen: Mapping[str, frozenset[Digest]], how: Publishing) -> frozenset[Digest]:
    """Say which digests of a tag are dfgen's: those on record here, else what the image says of itself.

    A fresh CI machine has no record; an image that carries the annotation was published by another run.
    """
    known = seen.get(str(tag.reference), frozenset())
    if known or tag.now is None or not tag.changes:
        return known
    document = how.registry.manifest(Reference(tag.reference.repository, digest=tag.now))
    if isinstance(document, Index):
        first = next(iter(document.images), None)
        if first is None:
            return known
        document = how.registry.manifest(Reference(tag.reference.repository, digest=first.digest))
    return frozenset([tag.now]) if INPUTS in document.annotations else known


def _now(reference: Reference, how: Publishing) -> Digest | None:
    found = how.registry.find(reference)
    return found.digest if found else None


def _missing(release: Release, how: Publishing) -> tuple[Manifest, ...]:
    """Find the manifests that the registry lacks; what a tag shows is there."""
    unsure = [release.bundle.images[image] for image, tag in release.images.items() if tag.changes]
    unsure += release.bundle.attestations if release.merged.changes else ()

    def is_there(manifest: Manifest) -> bool:
        """One HEAD, by digest."""
        return _now(Reference(release.repository, digest=manifest.descriptor.digest), how) is not None

    return tuple(
        manifest for manifest, there in zip(unsure, each(is_there, unsure), strict=True) if not there
    )


def _upload(releases: Sequence[Release], how: Publishing) -> Mapping[BlobKey, DfgenError]:
    """Upload what is missing, each blob once for each registry; what fails is returned."""
    wanted = transfers(releases, how.catalog)
    how.total(sum(transfer.descriptor.size * len(transfer.wanted) for transfer in wanted.values()))

    def upload(transfer: Transfer) -> None:
        """Each repository that has got the blob is a home from which the next can mount it."""
        homes = list(transfer.homes)
        for repository in transfer.wanted:
            _upload_one(transfer.descriptor, repository, homes, how)
            homes.insert(0, repository)

    results = zip(wanted, attempt(upload, wanted.values()), strict=True)
    return {key: error for key, error in results if isinstance(error, DfgenError)}


def _upload_one(
    blob: Descriptor, repository: Repository, homes: Sequence[Repository], how: Publishing
) -> None:
    sent = 0

    def progress(count: int) -> None:
        """Count what is sent, to tell at the end what did not need to be."""
        nonlocal sent
        sent += count
        how.progress(count)

    how.registry.upload(repository, blob, how.store.blob_path(blob.digest), homes, progress)
    how.progress(blob.size - sent)  # what was there already, or came from another repository


def _write(release: Release, failures: Mapping[BlobKey, DfgenError], how: Publishing) -> Release:
    """Write manifests and tags in the order that leaves no tag without what it names."""
    if lost := [failures[key] for key in keys_of(release) if key in failures]:
        raise combined(lost)

    def put(manifest: Manifest) -> None:
        """By digest: no tag moves yet."""
        target = Reference(release.repository, digest=manifest.descriptor.digest)
        how.registry.put_manifest(target, manifest.raw, manifest.media_type)

    each(put, release.missing)
    if release.missing:
        each(lambda tag: _check_still(tag, how), [tag for tag in release.tags if tag.changes])
    each(
        lambda image: _put_tag(release.images[image], release.bundle.images[image], how),
        [image for image, tag in release.images.items() if tag.changes],
    )
    if release.merged.changes:
        _put_tag(release.merged, release.bundle.index, how)
    written = [tag for tag in release.tags if tag.changes]
    each(lambda tag: read_back(how.registry, tag.reference, tag.digest, how.pause), written)
    return release


def _check_still(tag: Tag, how: Publishing) -> None:
    """Uploads take their time: see that nobody moved the tag meanwhile."""
    now = _now(tag.reference, how)
    if now not in (tag.now, tag.digest) and not how.force:
        moved = f"it had {tag.now or 'nothing'} before the upload and has {now or 'nothing'} now"
        raise CheckError(f"{tag.reference}: not overwritten with {tag.digest}: {moved}; publish again")


def _put_tag(tag: Tag, document: Manifest | Index, how: Publishing) -> None:
    how.registry.put_manifest(tag.reference, document.raw, document.media_type)
