"""What stages ask of the outside, as protocols: a stage gets the real thing, or a test's, as an argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Image
from dfgen.commands.plan.inputs import Causes, Inputs
from dfgen.engine.request import BuildRequest, OnStep
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import Descriptor, Index, Manifest


class Store(Protocol):
    """The layout on disk, as `dfgen.outside.layout.Layout` provides it."""

    def entries(self) -> Mapping[str, Descriptor]:
        """What has a name, such as `java-base:1.0-x86_64`; annotations are kept."""
        ...

    def attestations(self, image: Digest) -> tuple[Descriptor, ...]:
        """The provenance and SBOM manifests that are kept beside an image."""
        ...

    def read(self, descriptor: Descriptor) -> bytes:
        """A blob's bytes, checked."""
        ...

    def manifest(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest or index that a descriptor names."""
        ...

    def blob_path(self, digest: Digest) -> Path:
        """Where a blob lies, or would."""
        ...

    def is_intact(self, descriptor: Descriptor, deep: bool = False) -> bool:
        """Whether a manifest and all that it names is there."""
        ...

    def add(self, data: bytes) -> Digest:
        """Store bytes."""
        ...

    def tag(
        self, changes: Mapping[str, Descriptor | None], attestations: Sequence[Descriptor] | None = None
    ) -> None:
        """Set names, or with None remove them, in one step; attestations, if given, replace earlier ones."""
        ...


class Builder(Protocol):
    """What builds one image."""

    def build(self, request: BuildRequest, on_step: OnStep) -> tuple[Descriptor, ...]:
        """Build an image into the layout, where nothing names it yet: the image, and its attestations."""
        ...


class Records(Protocol):
    """What is kept of a run beside the images."""

    def keep(self, inputs: Inputs) -> None:
        """Keep the inputs of an image under their hash."""
        ...

    def keep_causes(self, digest: Digest, causes: Causes) -> None:
        """Keep what a Dockerfile came from, under the hash of the inputs."""
        ...

    def log(self, image: Image) -> Path:
        """Where the log of an image lies."""
        ...

    def tail(self, image: Image) -> tuple[str, ...]:
        """The last lines of an image's log."""
        ...

    def write_run(self, record: Mapping[str, Any]) -> None:
        """Write the record of a run."""
        ...


class Sources(Protocol):
    """The files that a parent's new digest changes."""

    def save(self, lock: Lock) -> None:
        """Write the lock."""
        ...

    def rerender(self, image: Image, lock: Lock) -> str | None:
        """Write an image's Dockerfile again; returns its path when it changed."""
        ...
