"""What a run builds with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dfgen.catalog import model
from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog, Image
from dfgen.commands.plan.inputs import Causes, Step
from dfgen.engine.nodes import Slots
from dfgen.engine.request import OnStep
from dfgen.images.ports import Builder, Records, Sources, Store
from dfgen.images.run import Event
from dfgen.oci.manifest import Descriptor
from dfgen.sbom.model import Bill


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
