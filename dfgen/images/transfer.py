"""Which blobs a publish has to bring to which repositories, each once for each registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dfgen.catalog.model import Catalog
from dfgen.images.release import Release
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import Descriptor
from dfgen.oci.reference import Repository

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
