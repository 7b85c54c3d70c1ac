"""Images and their configurations, read from a layout, an archive or a repository of a registry."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from dfgen.errors import CheckError, DfgenError, printable
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import ATTESTATION_OF, INPUTS, Descriptor, Index, Manifest
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference, Repository
from dfgen.untrusted import read_json

_FIRST_YEAR = 2000  # before containers; dates of reproducible builds are 1970-01-01 or 1980-01-01


class Reader(Protocol):
    """Reads manifests and blobs by descriptor: a layout, an archive, or one repository of a registry."""

    def manifest(self, descriptor: Descriptor) -> Manifest | Index:
        """Read a manifest or an index."""
        ...

    def read(self, descriptor: Descriptor) -> bytes:
        """Read a blob and verify its digest."""
        ...


class Puller(Protocol):
    """Reads manifests and small blobs from a registry."""

    def manifest(self, reference: Reference) -> Manifest | Index:
        """Read a manifest or an index, and verify its digest if the reference has one."""
        ...

    def blob(self, repository: Repository, descriptor: Descriptor) -> bytes:
        """Read a small blob, for example an image's configuration."""
        ...


@dataclass(frozen=True, slots=True)
class Once:
    """A puller that requests each manifest with a digest, and each blob, once."""

    registry: Puller
    manifests: dict[tuple[Repository, Digest], Manifest | Index] = field(default_factory=dict)
    blobs: dict[tuple[Repository, Digest], bytes] = field(default_factory=dict)

    def manifest(self, reference: Reference) -> Manifest | Index:
        """Read a manifest or an index; a tag is requested each time."""
        known = self.manifests.get((reference.repository, reference.digest)) if reference.digest else None
        if known is not None:
            return known
        found = self.registry.manifest(reference)
        return self.manifests.setdefault((reference.repository, found.descriptor.digest), found)

    def blob(self, repository: Repository, descriptor: Descriptor) -> bytes:
        """Read a small blob."""
        key = (repository, descriptor.digest)
        if key not in self.blobs:
            self.blobs[key] = self.registry.blob(repository, descriptor)
        return self.blobs[key]


class LocalBlobs(Protocol):
    """Local blobs that save requests to a registry, for example a layout."""

    def read(self, descriptor: Descriptor) -> bytes:
        """Read a blob and verify its digest. Raises DfgenError if it is missing or damaged."""
        ...


@dataclass(frozen=True, slots=True)
class Remote:
    """Reader of one repository of a registry; blobs that are in `local` cost no request."""

    registry: Puller
    repository: Repository
    local: LocalBlobs | None = None

    def manifest(self, descriptor: Descriptor) -> Manifest | Index:
        """Read a manifest or an index: one GET request."""
        return self.registry.manifest(Reference(self.repository, digest=descriptor.digest))

    def read(self, descriptor: Descriptor) -> bytes:
        """Read a blob: one GET request, unless it is in `local`."""
        if self.local:
            with suppress(DfgenError):  # missing or damaged here: the registry has it
                return self.local.read(descriptor)
        return self.registry.blob(self.repository, descriptor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """An image of an index, or one that may be added to an index.

    `name` is for messages, and `descriptor` becomes its entry. `config_platform` comes from the image's
    configuration and may differ from the descriptor's platform, which the checks of a merge report.
    """

    name: str
    descriptor: Descriptor
    manifest: Manifest
    config_platform: Platform
    attestations: tuple[Descriptor, ...] = ()

    @property
    def platform(self) -> Platform:
        """The platform of its entry: the descriptor's, or else the configuration's."""
        return self.descriptor.platform or self.config_platform

    @property
    def entries(self) -> tuple[Descriptor, ...]:
        """The entries for the index: the image and its attestations."""
        # The two may be equal but spelled differently (arm64, arm64/v8). Clients compare the entry with the
        # configuration literally, so the configuration's spelling is used.
        platform = self.config_platform if self.config_platform == self.platform else self.platform
        extra = {**self.config_platform.extra, **self.platform.extra}
        return (replace(self.descriptor, platform=replace(platform, extra=extra)), *self.attestations)

    @property
    def layers(self) -> tuple[Digest, ...]:
        """The digests of its layers, lowest first."""
        return tuple(layer.digest for layer in self.manifest.layers)


def children_of(name: str, document: Manifest | Index, reader: Reader) -> tuple[Child, ...]:
    """Read an image, or all images of an index with their attestations.

    Raises CheckError if one of them is not an image, and what the reader raises.
    """
    if isinstance(document, Manifest):
        return (child_of(name, document.descriptor, document, reader),)
    return tuple(
        _entry(f"{name} ({entry.platform})" if entry.platform else name, entry, document, reader)
        for entry in document.images
    )


def _entry(name: str, entry: Descriptor, index: Index, reader: Reader) -> Child:
    manifest = reader.manifest(entry)
    if isinstance(manifest, Index):
        raise CheckError(f"{name}: an index inside an index is not supported; name its images one by one")
    attestations = (
        other
        for other in index.manifests
        if other.is_attestation and other.annotations.get(ATTESTATION_OF) == str(entry.digest)
    )
    return child_of(name, entry, manifest, reader, tuple(attestations))


def child_of(
    name: str,
    descriptor: Descriptor,
    manifest: Manifest,
    reader: Reader,
    attestations: Sequence[Descriptor] = (),
) -> Child:
    """Read the configuration of one image and return it as a child. Raises as `configuration_of`."""
    configuration = configuration_of(name, manifest, reader)
    return Child(
        name=name,
        descriptor=descriptor,
        manifest=manifest,
        config_platform=configured_platform(configuration, descriptor.platform),
        attestations=tuple(attestations),
    )


def configuration_of(name: str, manifest: Manifest, reader: Reader) -> Mapping[str, Any]:
    """Read an image's configuration.

    Raises CheckError if it is not an image, for example a Helm chart or a signature.
    """
    try:
        data = read_json(reader.read(manifest.config))
    except ValueError as error:
        raise CheckError(f"{name}: invalid JSON in its configuration: {error}") from error
    if not isinstance(data, dict) or not data.get("architecture") or not data.get("os"):
        kind = printable(manifest.config.media_type)
        raise CheckError(f"{name}: is not an image: its configuration ({kind}) has no platform")
    return data


def parse_created(text: object) -> datetime | None:
    """Parse `created` of an image configuration, without fractions of a second; None if it is invalid."""
    try:
        found = datetime.fromisoformat(re.sub(r"\.[0-9]+", "", text)) if isinstance(text, str) else None
    except ValueError:
        return None
    return found.replace(tzinfo=found.tzinfo or UTC) if found and "T" in str(text) else None


def is_plausible(created: datetime) -> bool:
    """Whether a creation date may be true: reproducible builds often set 1970 or 1980."""
    return created.year >= _FIRST_YEAR


def is_older(created: datetime, other: datetime) -> bool:
    """Whether an image was created before another; False if one of the dates is not plausible."""
    return is_plausible(created) and is_plausible(other) and created < other


def configured_platform(configuration: Mapping[str, Any], listed: Platform | None) -> Platform:
    """Return the platform of a configuration.

    If it does not specify a variant or a Windows version, those of `listed`, its entry's platform, are used.
    """
    platform = Platform.from_json(configuration)
    if features := configuration.get("os.features"):
        platform = replace(platform, extra={"os.features": features})
    if listed is None or (platform.os, platform.architecture) != (listed.os, listed.architecture):
        return platform
    return replace(
        platform,
        variant=platform.variant if configuration.get("variant") else listed.variant,
        os_version=platform.os_version or listed.os_version,
    )


def mislabelled(entry: Descriptor, platform: Platform, reader: Reader) -> str:
    """Compare what an entry says of an image with the image; empty if it is right, else what is wrong.

    An index.json can be edited or merged by hand, and its entries are not covered by the image's digest.
    """
    document = reader.manifest(entry)
    if isinstance(document, Index):
        return "it is an index, expected an image"
    try:
        configuration = configuration_of(str(entry.digest), document, reader)
    except CheckError as error:
        return str(error)
    found = configured_platform(configuration, platform)
    if found != platform:
        return f"its configuration says {found}, expected {platform}"
    inputs = document.annotations.get(INPUTS)
    if inputs and entry.annotations.get(INPUTS, inputs) != inputs:
        return "it was built from other inputs than its entry says"
    return ""
