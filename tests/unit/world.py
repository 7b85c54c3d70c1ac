"""A catalog in a folder with everything a build needs, but for the engine: that is scripted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dfgen.catalog.context import ContextReader
from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog, Image
from dfgen.commands import plan as planning
from dfgen.commands.building import Building, build
from dfgen.commands.building.run import Event, Run
from dfgen.commands.plan.inputs import Causes, Plan, causes_of
from dfgen.commands.plan.records import Records
from dfgen.engine.nodes import Slots
from dfgen.filetree import Folder
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Descriptor
from dfgen.oci.platform import Platform
from dfgen.sbom.model import Sbom
from tests.fakes.engine import ScriptedEngine
from tests.unit.models import BOTH, LOCAL, catalog, images, upstream_lock

TODAY = "2026-01-02"


@dataclass
class World:
    """A catalog on disk, its layout, and a builder that is scripted."""

    root: Path
    catalog: Catalog
    lock: Lock = field(default_factory=upstream_lock)
    events: list[Event] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    templates: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.layout = Layout(self.root / "dist")
        self.records = Records(self.root / "dist")
        self.builder = ScriptedEngine(self.layout)
        self.render()

    @classmethod
    def of(
        cls, root: Path, graph: Mapping[str, Sequence[str]], platforms: Iterable[Platform] = BOTH
    ) -> World:
        """Make the world of some families; see `images`."""
        return cls(root, catalog(root, images(graph, platforms)))

    def render(self) -> None:
        """Write every Dockerfile whose parents are pinned."""
        for one in self.catalog.images:
            if all(self.lock.pin(each) for each in one.all_parents):
                self.rerender(one, self.lock)

    def rerender(self, one: Image, lock: Lock) -> str | None:
        """Write a Dockerfile that names the pins of its parents."""
        pins = [lock.pin(each) for each in one.all_parents]
        text = "".join(f"FROM x@{pin.digest}\n" for pin in pins if pin) + "RUN make\n"
        path = self.root / one.dockerfile
        if path.exists() and path.read_text() == text:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(one.dockerfile)

    def save(self, lock: Lock) -> None:
        """Keep the lock."""
        self.lock = lock

    @property
    def planning(self) -> planning.Planning:
        """What plans are made from, with nothing remembered of earlier ones."""
        reader = ContextReader(Folder(self.root), self.catalog.versions)
        return planning.Planning(
            catalog=self.catalog,
            layout=self.layout,
            reader=reader,
            records=self.records,
            causes=self.causes,
        )

    def causes(self, one: Image, lock: Lock) -> Causes:
        """Say what an image's Dockerfile comes from: nothing is known of a template that is not there."""
        return causes_of(one, lock, self.templates) if self.templates else {}

    def named(self, *names: str) -> tuple[Image, ...]:
        """Find images by name; all without any."""
        return tuple(one for one in self.catalog.images if not names or one.name in names)

    def plan(self, *names: str) -> Plan:
        """Plan images by name, or all."""
        return planning.plan(self.named(*names), self.lock, self.planning)

    def reasons(self, *names: str) -> dict[str, str]:
        """Plan, and give each image's reason."""
        return {step.image.name: step.why for step in self.plan(*names).steps}

    def build(self, *names: str, jobs: int = 2, slots: Slots | None = None, **more: Any) -> Run:
        """Plan and build images by name, or all; returns what became of them."""
        how = Building(
            planning=self.planning,
            engine=self.builder,
            dockerfiles=self,
            sbom=self.sbom,
            slots=slots or Slots(dict.fromkeys(BOTH, (LOCAL,)), {LOCAL: jobs}),
            report=self.events.append,
            today=TODAY,
            pause=self.pauses.append,
        )
        self.builder.forget()
        return build(self.plan(*names), self.lock, replace(how, **more))

    def sbom(self, one: Image, built: Descriptor) -> Sbom:
        """Make no SBOM: a test whose catalog asks for one hands in what makes it."""
        raise AssertionError(one.name)

    def change(self, name: str, **more: Any) -> None:
        """Change some settings of an image."""
        found = [replace(one, **more) if one.name == name else one for one in self.catalog.images]
        self.catalog = replace(self.catalog, images=tuple(found))


def states(run: Run) -> dict[str, str]:
    """What became of each image."""
    return {result.image.name: str(result.state) for result in run.results}
