"""The parts that a build run works with, and the Engine protocol that tests implement without Docker."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Builder, Image
from dfgen.commands.building.published import Published
from dfgen.commands.building.run import Event
from dfgen.commands.plan import Planning
from dfgen.commands.render import Dockerfiles
from dfgen.engine.nodes import Slots
from dfgen.engine.request import BuildRequest, OnStep
from dfgen.errors import Place
from dfgen.oci.manifest import Descriptor
from dfgen.sbom.model import Sbom


class Engine(Protocol):
    """BuildKit and Docker on the nodes of a catalog."""

    def build(self, request: BuildRequest, on_step: OnStep) -> tuple[Descriptor, ...]:
        """Build an image into the layout, without a tag. Returns the image and its attestations."""
        ...

    def test(self, image: Image, built: Descriptor, node: Builder) -> None:
        """Run the smoke tests of an image on a node. Raises CheckError if a test fails."""
        ...

    def responds(self, node: Builder) -> bool:
        """Whether a node still responds."""
        ...

    def stop(self) -> None:
        """Stop all running builds and containers."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """The parts and options of a build run.

    `planning` has the catalog, the layout and the records of earlier builds. `sbom` generates the SBOM of an
    image if the catalog asks for one. `published` downloads images that were published with the same inputs,
    None to build everything. `slots` assigns builds to nodes. `report` is called with each event, never by
    two threads at once. `today` is the date YYYY-MM-DD for new pins. `origins` returns the template line of
    each line of an image's Dockerfile. `locked` refuses to move pins, `twice` builds everything two times and
    compares the digests, `pause` sleeps for a number of seconds.
    """

    planning: Planning
    engine: Engine
    dockerfiles: Dockerfiles
    sbom: Callable[[Image, Descriptor], Sbom]
    slots: Slots
    report: Callable[[Event], None]
    today: str
    origins: Callable[[Image, Lock], Sequence[Place | None]] = lambda _image, _lock: ()
    published: Published | None = None
    locked: bool = False
    no_cache: bool = False
    twice: bool = False
    pause: Callable[[float], object] = time.sleep
