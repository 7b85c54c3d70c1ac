"""OCI and Docker manifests and indexes: read without loss, written in one canonical form.

Specification: https://github.com/opencontainers/image-spec (manifest.md, image-index.md, descriptor.md)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dfgen.errors import CheckError, InputError
from dfgen.oci.digest import Digest
from dfgen.oci.platform import Platform
from dfgen.untrusted import brief, read_json

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX_TYPES = (OCI_INDEX, DOCKER_INDEX)
MANIFEST_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST)

# Annotations.
INPUTS = "dev.dfgen.inputs"  # of a manifest and its entry in the layout: the hash of the image's inputs
IMAGE_NAME = "io.containerd.image.name"  # of an entry in a layout: the full reference for `docker load`
REF_NAME = "org.opencontainers.image.ref.name"
BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
# BuildKit links an attestation manifest to its image with these:
# https://docs.docker.com/build/metadata/attestations/attestation-storage/
ATTESTATION_TYPE = "vnd.docker.reference.type"
ATTESTATION_OF = "vnd.docker.reference.digest"
_LARGEST = 2**63 - 1  # bytes: sizes are int64 in the specification


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A reference to a blob or manifest: its media type, digest and size in bytes.

    `extra` has all keys that dfgen does not interpret, so that they are preserved.
    """

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: bytes, media_type: str, platform: Platform | None = None) -> Descriptor:
        """Return the descriptor of the data."""
        return cls(media_type=media_type, digest=Digest.of(data), size=len(data), platform=platform)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Descriptor:
        """Parse a descriptor. Raises InputError if it is invalid."""
        try:
            media_type, digest, size = data["mediaType"], data["digest"], data["size"]
        except (KeyError, TypeError) as error:
            raise InputError("a descriptor is missing its mediaType, digest or size") from error
        # bool is a subclass of int, and JSON's true would pass as size 1.
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _LARGEST:
            raise InputError(f"a descriptor's size is {brief(size)}; expected a number of bytes")
        interpreted = {"mediaType", "digest", "size", "platform", "annotations"}
        return cls(
            media_type=str(media_type),
            digest=Digest(str(digest)),
            size=size,
            platform=_platform(data.get("platform")),
            annotations=_annotations(data),
            extra={key: value for key, value in data.items() if key not in interpreted},
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object, with its keys in canonical order."""
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
        """Whether this is the provenance or SBOM of an image, and not an image."""
        unknown = self.platform is not None and self.platform.is_unknown
        return unknown or ATTESTATION_TYPE in self.annotations

    @property
    def is_index(self) -> bool:
        """Whether this refers to an index."""
        return self.media_type in INDEX_TYPES


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An image manifest: the configuration and the layers, lowest first."""

    raw: bytes
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of this document."""
        return Descriptor.of(self.raw, self.media_type)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The configuration and the layers, which must be stored before the manifest."""
        return (self.config, *self.layers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An image index: one entry per platform, and attestations."""

    raw: bytes
    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of this document."""
        return Descriptor.of(self.raw, self.media_type)

    @property
    def images(self) -> tuple[Descriptor, ...]:
        """The entries that are not attestations."""
        return tuple(entry for entry in self.manifests if not entry.is_attestation)

    def find(self, platform: Platform) -> Descriptor | None:
        """Return the first image for the platform, or None."""
        return next((entry for entry in self.images if entry.platform == platform), None)


class MalformedError(CheckError):
    """The bytes are no document of any kind: not JSON, or an incomplete manifest or index."""


def parse(raw: bytes, media_type: str = "") -> Manifest | Index:
    """Parse a manifest or an index; `media_type`, a Content-Type, is only used if the body has no mediaType.

    Raises CheckError if it is neither, for example a manifest of schema version 1, and MalformedError if it
    is damaged.
    """
    kind = ""
    try:
        data = read_json(raw)
        if not isinstance(data, dict):
            raise ValueError("not an object")
        # The body wins: the digest does not cover the header, so anybody in between could change it.
        kind = str(data.get("mediaType") or media_type.partition(";")[0].strip())
        if (version := data.get("schemaVersion")) != 2:
            message = f"schemaVersion {brief(version)} is not supported, only 2"
            raise CheckError(message) if isinstance(version, int) else ValueError(message)
        if "manifests" in data and "layers" in data:
            # Ambiguous documents let one digest mean different images to different clients (CVE-2021-41190).
            raise CheckError("it has both manifests and layers")
        if isinstance(data.get("manifests"), list):
            return _index(raw, kind, data)
        if isinstance(data.get("layers"), list) and isinstance(data.get("config"), dict):
            return _manifest(raw, kind, data)
    except CheckError as error:
        raise CheckError(f"not an image manifest or index: {error}") from error
    except (ValueError, InputError) as error:
        raise MalformedError(f"not an image manifest or index: {error}") from error
    # A document that names another type is one of another kind, for example an artifact.
    is_other = "mediaType" in data and kind not in (*INDEX_TYPES, *MANIFEST_TYPES)
    message = f"not an image manifest or index: media type {brief(kind or 'unknown')}"
    raise CheckError(message) if is_other else MalformedError(message)


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
        raise InputError("annotations must map names to strings")
    return found


def _platform(data: object) -> Platform | None:
    # Incomplete platforms count as missing: there is nothing to compare them with.
    if isinstance(data, dict) and data.get("os") and data.get("architecture"):
        return Platform.of_entry(data)
    return None


def canonical_index(entries: Iterable[Descriptor], annotations: Mapping[str, str] | None = None) -> Index:
    """Build an index whose bytes, and so its digest, do not depend on the order of the entries.

    Images come first, sorted by platform, then attestations in the order of their images.
    """
    entries = list(entries)
    images = sorted((entry for entry in entries if not entry.is_attestation), key=_by_platform)
    rank = {str(entry.digest): position for position, entry in enumerate(images)}
    attestations = sorted(
        (entry for entry in entries if entry.is_attestation),
        key=lambda entry: (rank.get(entry.annotations.get(ATTESTATION_OF, ""), len(rank)), _tie_break(entry)),
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
    return (str(entry.platform), _tie_break(entry))


def _tie_break(entry: Descriptor) -> str:
    """Return the whole entry as text, so that the order is total."""
    return f"{entry.digest} {json.dumps(entry.to_json())}"
