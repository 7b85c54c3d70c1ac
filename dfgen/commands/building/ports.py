"""What stages ask of the outside, as protocols: a stage gets the real thing, or a test's, as an argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dfgen.catalog import model
from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog, Image
from dfgen.commands.building.run import Event
from dfgen.commands.plan.inputs import Causes, Inputs, Step
from dfgen.engine.nodes import Slots
from dfgen.engine.request import BuildRequest, OnStep
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import Descriptor, Index, Manifest
from dfgen.sbom.model import Bill


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """What a run builds with, and how.

    `slots` are the nodes and how much each takes at once; `answers` asks whether a node is still there.
    `causes` hashes what an image's Dockerfile comes from, so that a later plan can say what changed.
    `published` brings an image in that was published with the same inputs, where that is asked for.
    `smoke` runs an image's tests on a node and raises CheckError; `judge` says whether an image is to be
    built under a lock; `merge` binds the images of a version; `pause` waits for seconds; `stop` ends what
    runs when the run is broken off. `today` is a date, YYYY-MM-DD. `past` are the seconds that images took
    before: the longest begin first. `bill` makes the SBOM of an image's packages, where that is
    asked for.
    """

    catalog: Catalog
    store: Store
    builder: Builder
    slots: Slots
    answers: Callable[[model.Builder], bool]
    published: Callable[[Step, OnStep], Sequence[Descriptor]]
    causes: Callable[[Image, Lock], Causes]
    smoke: Callable[[Image, Descriptor, model.Builder], None]
    judge: Callable[[Image, Lock], Step]
    merge: Callable[[Sequence[Image], Lock], Descriptor]
    sources: Sources
    records: Records
    report: Callable[[Event], None]
    pause: Callable[[float], object]
    stop: Callable[[], None]
    today: str
    locked: bool = False
    no_cache: bool = False
    past: Mapping[str, float] = field(default_factory=dict)
    bill: Callable[[Image, Descriptor], Bill] | None = None
