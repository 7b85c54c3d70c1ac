"""One repository of a registry, read as a layout is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

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


@dataclass(frozen=True, slots=True)
class Remote:
    """Reads by descriptor in one repository."""

    registry: Pulls
    repository: Repository

    def manifest(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest or index that a descriptor names: one GET."""
        return self.registry.manifest(Reference(self.repository, digest=descriptor.digest))

    def read(self, descriptor: Descriptor) -> bytes:
        """A blob's bytes: one GET."""
        return self.registry.blob(self.repository, descriptor)
