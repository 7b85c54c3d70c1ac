"""What an index binds: images with what their configuration says, and the attestations beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

from dfgen.errors import CheckError, DfgenError, printable
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import ATTESTATION_OF, Descriptor, Index, Manifest
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference, Repository
from dfgen.untrusted import read_json


class Pulls(Protocol):
    """What can be asked for manifests and configurations."""

    def manifest(self, reference: Reference) -> Manifest | Index:
        """A manifest or index, checked against its digest."""
        ...

    def blob(self, repository: Repository, descriptor: Descriptor) -> bytes:
        """A small blob, such as an image's configuration."""
        ...


class Keeps(Protocol):
    """What may have blobs on this machine."""

    def read(self, descriptor: Descriptor) -> bytes:
        """A blob's bytes, checked; a DfgenError where it is not there, or is damaged."""
        ...


@dataclass(frozen=True, slots=True)
class Remote:
    """Reads by descriptor in one repository; blobs that are `kept` on this machine cost no request."""

    registry: Pulls
    repository: Repository
    kept: Keeps | None = None

    def manifest(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest or index that a descriptor names: one GET."""
        return self.registry.manifest(Reference(self.repository, digest=descriptor.digest))

    def read(self, descriptor: Descriptor) -> bytes:
        """A blob's bytes: one GET, unless they are kept."""
        if self.kept:
            with suppress(DfgenError):
                return self.kept.read(descriptor)
        return self.registry.blob(self.repository, descriptor)


class Reader(Protocol):
    """Where manifests and configurations are read: a layout, or one repository of a registry."""

    def manifest(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest or index that a descriptor names."""
        ...

    def read(self, descriptor: Descriptor) -> bytes:
        """A blob's bytes, checked."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """An image that an index may bind.

    `name` is how a person knows it, `descriptor` its future entry, `configured` the platform that its
    configuration says; its descriptor may say another one, which is what the checks are for.
    """

    name: str
    descriptor: Descriptor
    manifest: Manifest
    configured: Platform
    attestations: tuple[Descriptor, ...] = ()

    @property
    def platform(self) -> Platform:
        """The platform that it is bound for: what is listed for it, else what its configuration says."""
        return self.descriptor.platform or self.configured

    @property
    def entries(self) -> tuple[Descriptor, ...]:
        """What the index gets: the image's entry and those of its attestations."""
        # Clients compare the entry with the configuration to the letter, so that spells the platform.
        platform = self.configured if self.configured == self.platform else self.platform
        return (replace(self.descriptor, platform=platform), *self.attestations)

    @property
    def layers(self) -> tuple[Digest, ...]:
        """The digests of its layers, lowest first."""
        return tuple(layer.digest for layer in self.manifest.layers)


def children_of(name: str, document: Manifest | Index, reader: Reader) -> tuple[Child, ...]:
    """Read an image, or every image of an index with its attestations.

    Errors: CheckError for what is not an image, besides the reader's own.
    """
    if isinstance(document, Manifest):
        return (child_of(name, document.descriptor, document, reader),)
    return tuple(
        _entry(f"{name} ({entry.platform})" if entry.platform else name, entry, document, reader)
        for entry in document.images
    )


def child_of(
    name: str,
    descriptor: Descriptor,
    manifest: Manifest,
    reader: Reader,
    attestations: Sequence[Descriptor] = (),
) -> Child:
    """Read what the checks need to know of one image."""
    configuration = configuration_of(name, manifest, reader)
    return Child(
        name=name,
        descriptor=descriptor,
        manifest=manifest,
        configured=configured_platform(configuration, descriptor.platform),
        attestations=tuple(attestations),
    )


def configuration_of(name: str, manifest: Manifest, reader: Reader) -> Mapping[str, Any]:
    """An image's configuration. Errors: CheckError for what is none, such as a chart or a signature."""
    try:
        data = read_json(reader.read(manifest.config))
    except ValueError as error:
        raise CheckError(f"{name}: its configuration is not JSON: {error}") from error
    if not isinstance(data, dict) or not data.get("architecture") or not data.get("os"):
        kind = printable(manifest.config.media_type)
        raise CheckError(f"{name}: it is not an image: its configuration ({kind}) names no platform")
    return data


def _entry(name: str, entry: Descriptor, index: Index, reader: Reader) -> Child:
    manifest = reader.manifest(entry)
    if isinstance(manifest, Index):
        raise CheckError(f"{name}: it is an index within an index; name its images one by one")
    bound = (
        other
        for other in index.manifests
        if other.is_attestation and other.annotations.get(ATTESTATION_OF) == str(entry.digest)
    )
    return child_of(name, entry, manifest, reader, tuple(bound))


def configured_platform(configuration: Mapping[str, Any], listed: Platform | None) -> Platform:
    """What a configuration says; a variant or Windows version that it leaves open is as listed."""
    said = Platform.from_json(configuration)
    if listed is None or (said.os, said.architecture) != (listed.os, listed.architecture):
        return said
    return replace(
        said,
        variant=said.variant if configuration.get("variant") else listed.variant,
        os_version=said.os_version or listed.os_version,
    )
