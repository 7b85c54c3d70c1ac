"""Publish versions from the layout to registries: blobs first, then manifests, then tags.

A tag is written only after everything that it refers to, and the merged tag last, so that a client that pulls
during a publish gets the complete old or the complete new image.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dfgen.catalog.model import Catalog, Image
from dfgen.commands.publish.ledger import Ledger
from dfgen.commands.publish.release import Bundle, Release, Tag, overwrite_refusal, read_bundle, stale_refusal
from dfgen.concurrent import attempt, combined, each
from dfgen.errors import CheckError, DfgenError, ExternalError, Problem
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import INPUTS, Descriptor, Index, Manifest
from dfgen.oci.reference import Reference, Repository
from dfgen.registry import Refused, Registry

BlobKey = tuple[str, Digest]  # registry and digest

_TAG_THREADS = 16  # concurrent HEAD requests for tags: as many as the client keeps connections
_PAUSES = (0.25, 0.5, 1.0, 2.0, 4.0)  # seconds before each further request, for registries that lag


def _ignore(_count: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """How to publish, and to which registries, each a prefix, for example `registry.example/team`.

    `total` is called once with the maximum number of bytes to transfer, `progress` with the bytes that each
    step added (negative if an upload starts over), and `pause` with seconds to wait. `stale` has, by image
    name, the reason why an image no longer matches the catalog.
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
    """The releases that were published completely, and the errors of the others; a second run resumes."""

    done: tuple[Release, ...]
    failed: DfgenError | None = None


def plan(images: Sequence[Image], how: Publishing) -> tuple[Release, ...]:
    """Compute what publishing the versions of these images will do; one HEAD per tag, manifest and blob.

    Raises CheckError if a version is incomplete in the layout, and the errors of the registries.
    """
    names = dict.fromkeys(image.merged_name for image in images)
    entries = how.store.entries()
    bundles = each(lambda name: read_bundle(name, how.catalog.versions[name], how.store, entries), names)
    pairs = [(bundle, registry) for registry in how.registries for bundle in bundles]
    seen = how.ledger.seen()
    wanted = [_tag_digests(bundle, registry, how) for bundle, registry in pairs]
    references = [reference for digests in wanted for reference in digests]
    # One pool for the tags of all versions: a pool per version would exceed the kept connections.
    found = each(lambda reference: _current(reference, how), references, _TAG_THREADS)
    current = dict(zip(references, found, strict=True))
    tags = [
        [Tag(reference=one, digest=digest, current=current[one]) for one, digest in digests.items()]
        for digests in wanted
    ]
    return tuple(each(lambda one: _release(*one[0], one[1], seen, how), zip(pairs, tags, strict=True)))


def check(releases: Iterable[Release]) -> None:
    """Raise CheckError with every version that is stale and every tag that must not be overwritten."""
    refusals = dict.fromkeys(refusal for release in releases for refusal in release.refusals)
    if refusals:
        raise CheckError(Problem(None, refusal) for refusal in refusals)


def publish(releases: Sequence[Release], how: Publishing) -> Published:
    """Publish planned releases: all blobs, then the manifests and tags of each version, its merged tag last.

    Raises CheckError like `check`, before anything is written.
    """
    check(releases)
    seen = how.ledger.seen()
    tags = {str(tag.reference): tag for release in releases for tag in release.tags}
    # Recorded before the first tag moves: after a kill, the next run must recognize both the digests that it
    # was replacing and those that it wrote.
    how.ledger.record(
        {
            name: {*seen.get(name, ()), tag.digest, *([tag.current] if tag.current else [])}
            for name, tag in tags.items()
        }
    )
    failures = _upload(releases, how)
    results = attempt(lambda release: _write(release, failures, how), releases)
    done = tuple(result for result in results if isinstance(result, Release))
    how.ledger.record({str(tag.reference): {tag.digest} for release in done for tag in release.tags})
    errors = [result for result in results if isinstance(result, DfgenError)]
    return Published(done=done, failed=combined(errors) if errors else None)


def push_by_digest(registry: Registry, repository: Repository, manifest: Manifest) -> None:
    """Write a manifest under its digest, without a tag."""
    target = Reference(repository, digest=manifest.descriptor.digest)
    registry.put_manifest(target, manifest.raw, manifest.media_type)


def await_tag(registry: Registry, tag: Reference, digest: Digest, pause: Callable[[float], None]) -> None:
    """Poll a tag until the registry returns the pushed digest.

    Raises ExternalError if it still does not after 7.75 seconds.
    """
    for seconds in (0.0, *_PAUSES):
        if seconds:
            pause(seconds)
        found = registry.find(tag)
        if found and found.digest == digest:
            return
    shown = f"returns {found.digest}" if found else "does not return the tag"
    fix = f"check with `dfgen inspect {tag}`, then run the command again"
    cause = "another writer moved the tag, or the registry lags"
    raise ExternalError(f"{tag}: pushed {digest}, but the registry {shown}; {cause}; {fix}")


def _tag_digests(bundle: Bundle, registry: str, how: Publishing) -> Mapping[Reference, Digest]:
    """Return the digest that each tag of a version will have; the merged tag is last."""
    digests = {image.tag: manifest.descriptor.digest for image, manifest in bundle.images.items()}
    first = next(iter(bundle.images))
    digests[first.version] = bundle.index.descriptor.digest
    return {how.catalog.reference(first.family.name, tag, registry): one for tag, one in digests.items()}


def _current(reference: Reference, how: Publishing) -> Digest | None:
    found = how.registry.find(reference)
    return found.digest if found else None


def _release(
    bundle: Bundle, registry: str, tags: Sequence[Tag], seen: Mapping[str, frozenset[Digest]], how: Publishing
) -> Release:
    refusals = [
        overwrite_refusal(tag, bundle.immutable, _own_digests(tag, seen, how), how.force) for tag in tags
    ]
    *own, merged = tags
    release = Release(
        bundle=bundle,
        registry=registry,
        images=dict(zip(bundle.images, own, strict=True)),
        merged=merged,
        missing=(),
        refusals=tuple(filter(None, (stale_refusal(bundle, how.stale), *refusals))),
    )
    return replace(release, missing=_missing(release, how))


def _own_digests(tag: Tag, seen: Mapping[str, frozenset[Digest]], how: Publishing) -> frozenset[Digest]:
    """Return the digests of a tag that dfgen published: those of the ledger, or else the annotated one.

    A fresh CI machine has no ledger; there, the annotation INPUTS shows that dfgen built the image.
    """
    own = seen.get(str(tag.reference), frozenset())
    if own or tag.current is None or not tag.changes:
        return own
    document = how.registry.manifest(Reference(tag.reference.repository, digest=tag.current))
    if isinstance(document, Index):
        # One image is enough: dfgen publishes an index only with images that it built.
        first = next(iter(document.images), None)
        if first is None:
            return own
        document = how.registry.manifest(Reference(tag.reference.repository, digest=first.digest))
    return frozenset([tag.current]) if INPUTS in document.annotations else own


def _missing(release: Release, how: Publishing) -> tuple[Manifest, ...]:
    """Find the manifests that the registry does not have, or has without some of their blobs.

    Also behind tags that do not change: the clean-up of a registry can remove what has no tag of its own.
    """
    manifests = [*release.bundle.images.values(), *release.bundle.attestations]
    absent = each(lambda one: _is_absent(one, release.repository, how), manifests)
    # The blobs of a new manifest are uploaded in any case, and those that exist are skipped there.
    published = [one for one, is_absent in zip(manifests, absent, strict=True) if not is_absent]
    blobs = list(dict.fromkeys(blob.digest for one in published for blob in one.blobs))
    exists = dict(zip(blobs, each(lambda one: _exists(one, release.repository, how), blobs), strict=True))
    return tuple(
        one
        for one, is_absent in zip(manifests, absent, strict=True)
        if is_absent or not all(exists[blob.digest] for blob in one.blobs)
    )


def _is_absent(manifest: Manifest, repository: Repository, how: Publishing) -> bool:
    return _current(Reference(repository, digest=manifest.descriptor.digest), how) is None


def _exists(blob: Digest, repository: Repository, how: Publishing) -> bool:
    try:
        return how.registry.has_blob(repository, blob)
    except Refused:  # the registry does not answer such questions: sending a blob again does no harm
        return False


@dataclass(frozen=True, slots=True)
class _Transfer:
    """A blob for one registry: the repositories that need it, and those to mount it from.

    `targets` and `sources` are dicts for their order.
    """

    descriptor: Descriptor
    targets: dict[Repository, None] = field(default_factory=dict)
    sources: dict[Repository, None] = field(default_factory=dict)


def _upload(releases: Sequence[Release], how: Publishing) -> Mapping[BlobKey, DfgenError]:
    """Upload the blobs of all missing manifests, each once per registry; return the errors."""
    transfers = _transfers(releases, how.catalog)
    how.total(sum(transfer.descriptor.size * len(transfer.targets) for transfer in transfers.values()))

    def upload(transfer: _Transfer) -> None:
        sources = list(transfer.sources)
        for repository in transfer.targets:
            _upload_blob(transfer.descriptor, repository, sources, how)
            sources.insert(0, repository)  # the next repository can mount it from here

    results = zip(transfers, attempt(upload, transfers.values()), strict=True)
    return {key: error for key, error in results if isinstance(error, DfgenError)}


def _transfers(releases: Sequence[Release], catalog: Catalog) -> Mapping[BlobKey, _Transfer]:
    found: dict[BlobKey, _Transfer] = {}
    for release in releases:
        parents = dict.fromkeys(_parent_repositories(release, catalog))
        for key, blob in _missing_blobs(release):
            transfer = found.setdefault(key, _Transfer(blob))
            transfer.targets[release.repository] = None
            transfer.sources.update(parents)
    for release in releases:
        for key in _published_blobs(release):
            if key in found:
                found[key].sources[release.repository] = None
    return found


def _missing_blobs(release: Release) -> Iterator[tuple[BlobKey, Descriptor]]:
    for manifest in release.missing:
        for blob in manifest.blobs:
            yield (release.repository.registry, blob.digest), blob


def _published_blobs(release: Release) -> Iterator[BlobKey]:
    for image, tag in release.images.items():
        if not tag.changes:
            blobs = release.bundle.images[image].blobs
            yield from ((release.repository.registry, blob.digest) for blob in blobs)


def _parent_repositories(release: Release, catalog: Catalog) -> Iterator[Repository]:
    """Find the parents' repositories in the same registry, from which their layers can be mounted."""
    for image in release.bundle.images:
        for parent in image.all_parents:
            if parent.family:
                reference = catalog.reference(parent.family, parent.version, release.registry)
            else:
                reference = catalog.mirrored(parent.reference)
            if reference.repository.registry == release.repository.registry:
                yield reference.repository


def _upload_blob(
    blob: Descriptor, repository: Repository, sources: Sequence[Repository], how: Publishing
) -> None:
    sent = 0

    def progress(count: int) -> None:
        nonlocal sent
        sent += count
        how.progress(count)

    how.registry.upload(repository, blob, how.store.blob_path(blob.digest), sources, progress)
    how.progress(blob.size - sent)  # a blob that was skipped or mounted counts as transferred


def _write(release: Release, failures: Mapping[BlobKey, DfgenError], how: Publishing) -> Release:
    """Write the manifests by digest, then the tags; no tag ever refers to something missing."""
    if errors := [failures[key] for key, _ in _missing_blobs(release) if key in failures]:
        raise combined(errors)
    each(lambda manifest: push_by_digest(how.registry, release.repository, manifest), release.missing)
    changed = [tag for tag in release.tags if tag.changes]
    if release.missing:  # the uploads took time, in which another writer may have moved a tag
        each(lambda tag: _check_unmoved(tag, how), changed)
    each(
        lambda image: _put_tag(release.images[image], release.bundle.images[image], how),
        [image for image, tag in release.images.items() if tag.changes],
    )
    if release.merged.changes:
        _put_tag(release.merged, release.bundle.index, how)
    each(lambda tag: await_tag(how.registry, tag.reference, tag.digest, how.pause), changed)
    return release


def _check_unmoved(tag: Tag, how: Publishing) -> None:
    current = _current(tag.reference, how)
    if current not in (tag.current, tag.digest) and not how.force:
        moved = f"before: {tag.current or 'none'}, now: {current or 'none'}"
        raise CheckError(
            f"{tag.reference}: not overwritten with {tag.digest}: the tag changed during the upload"
            f" ({moved}); publish again"
        )


def _put_tag(tag: Tag, document: Manifest | Index, how: Publishing) -> None:
    how.registry.put_manifest(tag.reference, document.raw, document.media_type)
