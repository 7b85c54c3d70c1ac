"""OCI and Docker manifests and indexes: read without losing a byte, written in one canonical form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dfgen.errors import CheckError, InputError
from dfgen.oci.digest import Digest
from dfgen.oci.platform import Platform
from dfgen.untrusted import brief, read_json

# Of an image manifest and of its entry in the layout: the hash of what the image was built from.
INPUTS = "dev.dfgen.inputs"
# Of an entry in a layout: the full reference that `docker load` gives the image.
IMAGE_NAME = "io.containerd.image.name"


OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX_TYPES = (OCI_INDEX, DOCKER_INDEX)
MANIFEST_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST)

REF_NAME = "org.opencontainers.image.ref.name"
BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
# The annotations by which BuildKit binds an attestation manifest to its image.
ATTESTATION_TYPE = "vnd.docker.reference.type"
ATTESTATION_OF = "vnd.docker.reference.digest"
_LARGEST = 2**63 - 1  # bytes: the specification's int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What points at a blob or manifest: its media type, digest and size in bytes.

    `extra` keeps every key that dfgen does not interpret, so that nothing is lost on the way through.
    """

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: bytes, media_type: str, platform: Platform | None = None) -> Descriptor:
        """Describe bytes."""
        return cls(media_type=media_type, digest=Digest.of(data), size=len(data), platform=platform)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Descriptor:
        """Read one; what is not a descriptor raises InputError."""
        try:
            media_type, digest, size = data["mediaType"], data["digest"], data["size"]
        except (KeyError, TypeError) as error:
            raise InputError("a descriptor lacks its mediaType, digest or size") from error
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _LARGEST:
            raise InputError(f"a descriptor's size is {brief(size)}; expected a number of bytes")
        known = {"mediaType", "digest", "size", "platform", "annotations"}
        return cls(
            media_type=str(media_type),
            digest=Digest(str(digest)),
            size=size,
            platform=_platform(data.get("platform")),
            annotations=_annotations(data),
            extra={key: value for key, value in data.items() if key not in known},
        )

    def to_json(self) -> dict[str, Any]:
        """Write one in canonical key order."""
        data: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
            **{key: self.extra[key] for key in sorted(self.extra)},
        }
        if self.annotations:
            data["annotations"] = dict(sorted(self.annotations.items()))
        if self.platform:
            data["platform"] = self.platform.to_json()
        return data

    @property
    def is_attestation(self) -> bool:
        """Whether it names BuildKit's provenance or SBOM of another entry instead of an image."""
        unknown = self.platform is not None and self.platform.is_unknown
        return unknown or ATTESTATION_TYPE in self.annotations

    @property
    def is_index(self) -> bool:
        """Whether it names an index."""
        return self.media_type in INDEX_TYPES


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An image manifest: its configuration and its layers, lowest first."""

    raw: bytes
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def descriptor(self) -> Descriptor:
        """What points at it."""
        return Descriptor.of(self.raw, self.media_type)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """What has to be there before the manifest may be: configuration and layers."""
        return (self.config, *self.layers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An image index: one entry per platform, besides attestations."""

    raw: bytes
    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def descriptor(self) -> Descriptor:
        """What points at it."""
        return Descriptor.of(self.raw, self.media_type)

    @property
    def images(self) -> tuple[Descriptor, ...]:
        """The entries that are images: neither attestations nor of an unknown platform."""
        return tuple(entry for entry in self.manifests if not entry.is_attestation)

    def find(self, platform: Platform) -> Descriptor | None:
        """The image for a platform, if there is one."""
        return next((entry for entry in self.images if entry.platform == platform), None)


def _platform(data: object) -> Platform | None:
    """Read an entry's platform; half a one is none."""
    if isinstance(data, dict) and data.get("os") and data.get("architecture"):
        return Platform.from_json(data)
    return None


def parse(raw: bytes, media_type: str = "") -> Manifest | Index:
    """Read a manifest or an index; `media_type` (a Content-Type) decides only where the body is silent.

    Errors: CheckError for what is neither, schema 1 included.
    """
    try:
        data = read_json(raw)
        if not isinstance(data, dict):
            raise ValueError("not an object")
        # Only the body's own word counts before the header's: headers are not covered by the digest.
        kind = str(data.get("mediaType") or media_type.partition(";")[0].strip())
        if data.get("schemaVersion") != 2:
            raise ValueError(f"schemaVersion {brief(data.get('schemaVersion'))} is not supported, only 2")
        if "manifests" in data and "layers" in data:
            raise ValueError("it has both manifests and layers")
        if isinstance(data.get("manifests"), list):
            return _index(raw, kind, data)
        if isinstance(data.get("layers"), list) and isinstance(data.get("config"), dict):
            return _manifest(raw, kind, data)
    except (ValueError, InputError) as error:
        raise CheckError(f"not an image manifest or index: {error}") from error
    raise CheckError(f"not an image manifest or index: media type {brief(kind or 'unknown')}")


def _index(raw: bytes, kind: str, data: dict[str, Any]) -> Index:
    entries = tuple(Descriptor.from_json(entry) for entry in data["manifests"])
    kind = kind if kind in INDEX_TYPES else OCI_INDEX
    return Index(raw=raw, media_type=kind, manifests=entries, annotations=_annotations(data))


def _manifest(raw: bytes, kind: str, data: dict[str, Any]) -> Manifest:
    return Manifest(
        raw=raw,
        media_type=kind if kind in MANIFEST_TYPES else OCI_MANIFEST,
        config=Descriptor.from_json(data["config"]),
        layers=tuple(Descriptor.from_json(layer) for layer in data["layers"]),
        annotations=_annotations(data),
    )


def _annotations(data: Mapping[str, Any]) -> dict[str, str]:
    found = data.get("annotations") or {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise InputError("the annotations are not a mapping of names to text")
    return found


def canonical_index(entries: Iterable[Descriptor], annotations: Mapping[str, str] | None = None) -> Index:
    """Write an index so that the same entries always give the same bytes, whatever order they come in.

    Images come first, by platform; each attestation follows in the order of the image it belongs to.
    """
    entries = list(entries)
    images = sorted((entry for entry in entries if not entry.is_attestation), key=_by_platform)
    rank = {str(entry.digest): position for position, entry in enumerate(images)}
    attestations = sorted(
        (entry for entry in entries if entry.is_attestation),
        key=lambda entry: (rank.get(entry.annotations.get(ATTESTATION_OF, ""), len(rank)), _written(entry)),
    )
    ordered = (*images, *attestations)
    data: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [entry.to_json() for entry in ordered],
    }
    if annotations:
        data["annotations"] = dict(sorted(annotations.items()))
    raw = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
    return Index(raw=raw, media_type=OCI_INDEX, manifests=ordered, annotations=annotations or {})


def _by_platform(entry: Descriptor) -> tuple[str, str]:
    return (str(entry.platform), _written(entry))


def _written(entry: Descriptor) -> str:
    """All of an entry, digest first: what orders entries that are alike in everything else."""
    return f"{entry.digest} {json.dumps(entry.to_json())}"
