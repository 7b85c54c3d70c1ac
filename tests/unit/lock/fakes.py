"""A registry in memory that records its requests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from dfgen.errors import DfgenError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import OCI_MANIFEST, Descriptor, Index, Manifest, canonical_index, parse
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference, Repository
from dfgen.registry import Missing

Kind = TypeVar("Kind", Manifest, Index)

CONFIG = "application/vnd.oci.image.config.v1+json"


class MemoryRegistry:
    """Tags by full reference; every manifest that was ever tagged stays readable by its digest.

    `requests` has each request as `HEAD docker.io/library/x:1`, `GET …`, `BLOB repository`.
    """

    def __init__(self) -> None:
        self.tags: dict[str, Manifest | Index] = {}
        self.manifests: dict[Digest, Manifest | Index] = {}
        self.blobs: dict[Digest, bytes] = {}
        self.broken: dict[str, DfgenError] = {}
        self.requests: list[str] = []

    def index(self, name: str, created: str = "2026-01-02T03:04:05Z", **builds: str) -> Index:
        """Tag an index; each keyword is a platform with the content of its image, `amd64="first"`."""
        entries = [self.image(alias, created=created, build=build) for alias, build in builds.items()]
        return self.tag(name, canonical_index(entries))

    def image(self, alias: str, **config: object) -> Descriptor:
        """Store an image without a tag, and return its entry for an index."""
        platform = Platform.parse(alias)
        found = self._image({**platform.to_json(), **config})
        self.manifests[found.descriptor.digest] = found
        return replace(found.descriptor, platform=platform)

    def tag(self, name: str, found: Kind) -> Kind:
        self.tags[name] = found
        self.manifests[found.descriptor.digest] = found
        return found

    def single(self, name: str, config: object) -> Manifest:
        """Tag a single image with this configuration."""
        return self.tag(name, self._image(config))

    def _image(self, config: object) -> Manifest:
        raw = config if isinstance(config, bytes) else json.dumps(config).encode()
        self.blobs[Digest.of(raw)] = raw
        data = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": Descriptor.of(raw, CONFIG).to_json(),
            "layers": [],
        }
        found = parse(json.dumps(data).encode())
        assert isinstance(found, Manifest)
        return found

    def delete(self, *digests: Digest) -> None:
        """Delete manifests, as a cleanup of the registry does; tags stay."""
        for digest in digests:
            del self.manifests[digest]

    def find(self, reference: Reference) -> Descriptor | None:
        try:
            return self.resolve(reference)
        except Missing:
            return None

    def resolve(self, reference: Reference) -> Descriptor:
        self.requests.append(f"HEAD {reference}")
        return self._find(reference).descriptor

    def manifest(self, reference: Reference) -> Manifest | Index:
        self.requests.append(f"GET {reference}")
        return self._find(reference)

    def blob(self, repository: Repository, descriptor: Descriptor) -> bytes:
        self.requests.append(f"BLOB {repository}")
        return self.blobs[descriptor.digest]

    def _find(self, reference: Reference) -> Manifest | Index:
        name = str(reference.without_digest())
        if name in self.broken:
            raise self.broken[name]
        digest = reference.digest
        found = self.manifests.get(digest) if digest else self.tags.get(name)
        if found is None:
            raise Missing(f"{reference} not found")
        return found


def digests(found: Manifest | Index, *aliases: str) -> Sequence[str]:
    """Return the digests of platforms in an index."""
    assert isinstance(found, Index)
    entries = [found.find(Platform.parse(alias)) for alias in aliases]
    return [str(entry.digest) for entry in entries if entry]
