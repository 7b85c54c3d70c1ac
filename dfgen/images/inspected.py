"""What an index and its images are, and how two of them differ, as records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dfgen.errors import InputError, listing
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import BASE_DIGEST, BASE_NAME
from dfgen.oci.platform import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer as it is stored: `size` in bytes; `shared` when another platform's image has it too."""

    digest: Digest
    size: int
    media_type: str
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a configuration says about running the image; lists are in its own order."""

    created: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    user: str = ""
    workdir: str = ""
    ports: tuple[str, ...] = ()
    healthcheck: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """One image. `listed` is its platform by the index, `platform` by its own configuration.

    `size` is that of configuration and layers, in bytes, as they are stored. With `here` false only its entry
    in the index is known: an archive may hold one platform of many.
    """

    digest: Digest
    media_type: str
    listed: Platform | None
    platform: Platform | None
    size: int = 0
    layers: tuple[Layer, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    here: bool = True

    @property
    def base_name(self) -> str:
        """What it is built on, by its annotation or else its label."""
        return self._said(BASE_NAME)

    @property
    def base_digest(self) -> str:
        """The digest of what it is built on."""
        return self._said(BASE_DIGEST)

    @property
    def agrees(self) -> bool:
        """Whether its configuration says the platform by which it is listed."""
        return self.listed is None or self.platform is None or self.listed == self.platform

    def _said(self, key: str) -> str:
        return self.annotations.get(key) or self.settings.labels.get(key, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationRecord:
    """Provenance or an SBOM: what it belongs to, and the size of its manifest in bytes.

    `type` is the media type of what it holds, where its entry says so: `application/vnd.cyclonedx+json`.
    """

    digest: Digest
    of: str
    size: int
    type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """An index with its images, or a single image; `raw` are the bytes that its digest names."""

    name: str
    digest: Digest
    media_type: str
    raw: bytes
    images: tuple[ImageRecord, ...]
    attestations: tuple[AttestationRecord, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all its images together; what several share is counted once."""
        layers = {layer.digest: layer.size for image in self.images for layer in image.layers}
        configurations = sum(image.size - sum(layer.size for layer in image.layers) for image in self.images)
        return configurations + sum(layers.values())

    def only(self, platform: Platform) -> Inspected:
        """Narrow it to one platform. Errors: InputError naming those it has."""
        images = tuple(image for image in self.images if platform in (image.listed, image.platform))
        if not images:
            has = listing(str(image.listed or image.platform) for image in self.images)
            raise InputError(f"{self.name}: has no {platform}; it has {has}")
        kept = {str(image.digest) for image in images}
        attestations = tuple(one for one in self.attestations if one.of in kept)
        return replace(self, images=images, attestations=attestations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One way in which two differ; an empty side has none. Without a platform it concerns both as a whole."""

    platform: Platform | None
    what: str
    left: str
    right: str
