"""Small images for tests: real manifests, configurations and layers, made in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from dfgen.oci.digest import Digest
from dfgen.oci.manifest import (
    ATTESTATION_OF,
    ATTESTATION_TYPE,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    parse,
)
from dfgen.oci.platform import Platform
from tests.fakes.layers import tar

OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
IN_TOTO = "application/vnd.in-toto+json"
LAYER = tar({"a": b"layer"})
AMD64 = Platform.parse("amd64")
ARM64 = Platform.parse("arm64")


class BlobStore(Protocol):
    """Stores bytes, for example a layout."""

    def add(self, data: bytes) -> Digest: ...


def as_json(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()


@dataclass(frozen=True, kw_only=True)
class FakeImage:
    """A manifest with all its blobs, by digest."""

    raw: bytes
    media_type: str
    platform: Platform | None
    blobs: Mapping[Digest, bytes]

    @property
    def manifest(self) -> Manifest:
        found = parse(self.raw, self.media_type)
        assert isinstance(found, Manifest)
        return found

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor.of(self.raw, self.media_type, self.platform)

    def put_into(self, store: BlobStore) -> Descriptor:
        for data in (*self.blobs.values(), self.raw):
            store.add(data)
        return self.descriptor


def image(
    platform: Platform = AMD64,
    layers: Sequence[bytes] = (LAYER,),
    *,
    annotations: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
    config_platform: Platform | None = None,
    docker: bool = False,
) -> FakeImage:
    """Make an image; `config_platform` is the platform in its configuration if it is not `platform`."""
    configured = (config_platform or platform).to_json()
    configuration = as_json({**configured, "rootfs": {"type": "layers", "diff_ids": []}, **(config or {})})
    config_type, layer_type = (DOCKER_CONFIG, DOCKER_LAYER) if docker else (OCI_CONFIG, OCI_LAYER)
    media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    body: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": Descriptor.of(configuration, config_type).to_json(),
        "layers": [Descriptor.of(layer, layer_type).to_json() for layer in layers],
    }
    if annotations:
        body["annotations"] = dict(annotations)
    blobs = {Digest.of(data): data for data in (configuration, *layers)}
    return FakeImage(raw=as_json(body), media_type=media_type, platform=platform, blobs=blobs)


def attestation(of: FakeImage, statement: bytes = b'{"predicate":1}') -> tuple[Descriptor, FakeImage]:
    """Make a provenance attestation like BuildKit, with the descriptor that links it to its image."""
    unknown = Platform.of("unknown", "unknown")
    config = as_json({"architecture": "unknown", "os": "unknown"})
    body = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": Descriptor.of(config, OCI_CONFIG).to_json(),
        "layers": [Descriptor.of(statement, IN_TOTO).to_json()],
    }
    blobs = {Digest.of(data): data for data in (config, statement)}
    made = FakeImage(raw=as_json(body), media_type=OCI_MANIFEST, platform=unknown, blobs=blobs)
    link = {ATTESTATION_TYPE: "attestation-manifest", ATTESTATION_OF: str(of.descriptor.digest)}
    return replace(made.descriptor, annotations=link), made


def index_of(entries: Sequence[Descriptor]) -> bytes:
    """Return an index that keeps the given order, as other tools write it."""
    manifests = [entry.to_json() for entry in entries]
    return as_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})


def export(folder: Path, *entries: tuple[Descriptor, bytes], blobs: Sequence[bytes] = ()) -> None:
    """Write a layout like `buildx build -o type=oci,tar=false`; each entry has its descriptor and bytes."""
    (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    for data in (*(raw for _, raw in entries), *blobs):
        (folder / "blobs" / "sha256" / Digest.of(data).hex).write_bytes(data)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_bytes(index_of([entry for entry, _ in entries]))
