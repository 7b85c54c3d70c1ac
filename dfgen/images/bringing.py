"""Images and their attestations, from the repository where they are to that of the tag that binds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dfgen.concurrent import each
from dfgen.errors import CheckError
from dfgen.oci.digest import Digest
from dfgen.oci.images import Child
from dfgen.oci.manifest import Descriptor, Index, Manifest
from dfgen.oci.reference import Reference, Repository


class Registry(Protocol):
    """What bringing asks of registries."""

    def find(self, reference: Reference) -> Descriptor | None:
        """What a reference points at, None when it is not there."""
        ...

    def manifest(self, reference: Reference) -> Manifest | Index:
        """A manifest or index, checked against its digest."""
        ...

    def copy(self, descriptor: Descriptor, source: Repository, target: Repository) -> None:
        """Bring a blob to another repository."""
        ...

    def put_manifest(self, reference: Reference, raw: bytes, media_type: str) -> Digest:
        """Write a manifest."""
        ...


@dataclass(frozen=True, slots=True)
class _Away:
    """A manifest that the target's repository lacks, and where it is."""

    home: Repository
    manifest: Manifest


def bring(
    found: Sequence[tuple[Repository, Child]], target: Repository, registry: Registry, at_once: int
) -> None:
    """Bring images and their attestations to another repository: all blobs first, then the manifests.

    A blob that several share is brought once: a registry may answer wrongly while one is mounted twice.
    """
    pairs = [
        (home, child, entry) for home, child in found for entry in (child.descriptor, *child.attestations)
    ]
    away = [one for one in each(lambda pair: _lacking(*pair, target, registry), pairs, at_once) if one]
    blobs = {
        blob.digest: (blob, one.home)
        for one in away
        for blob in one.manifest.blobs
        if "urls" not in blob.extra
    }
    each(lambda pair: registry.copy(*pair, target), blobs.values(), at_once)

    def put(one: _Away) -> None:
        """By digest; the merged tag will be the only name that it has there."""
        at = Reference(target, digest=one.manifest.descriptor.digest)
        registry.put_manifest(at, one.manifest.raw, one.manifest.media_type)

    each(put, away, at_once)


def _lacking(
    home: Repository, child: Child, entry: Descriptor, target: Repository, registry: Registry
) -> _Away | None:
    """Read a manifest that the target's repository lacks."""
    if registry.find(Reference(target, digest=entry.digest)):
        return None
    known = child.manifest if entry is child.descriptor else None
    manifest = known or registry.manifest(Reference(home, digest=entry.digest))
    if isinstance(manifest, Index):
        raise CheckError(f"{child.name}: its attestation {entry.digest} is an index, expected a manifest")
    return _Away(home, manifest)
