"""One repository of a registry, read as a layout is read."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from dfgen.errors import DfgenError
from dfgen.values.manifest import Descriptor, Index, Manifest
from dfgen.values.reference import Reference, Repository


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
