"""A catalog in a folder with everything that a build needs: wired by `Workspace`, with a scripted engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog, Image, Parent
from dfgen.commands import plan as planning
from dfgen.commands.building import build
from dfgen.commands.building.run import Event, Run
from dfgen.commands.plan.inputs import Plan
from dfgen.engine.nodes import Slots
from dfgen.oci.manifest import Descriptor
from dfgen.oci.platform import Platform
from dfgen.sbom.model import Sbom
from dfgen.workspace import Workspace
from tests.fakes.engine import ScriptedEngine
from tests.unit.models import BOTH, LOCAL, catalog, images, upstream_lock

TODAY = "2026-01-02"


@dataclass
class World:
    """A catalog made of records instead of YAML, its layout, and a scripted engine.

    It stands in for `Dockerfiles`: its Dockerfiles have only the pins, so that tests can edit them freely.
    """

    root: Path
    catalog: Catalog
    lock: Lock = field(default_factory=upstream_lock)
    events: list[Event] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        first = Workspace(self.root)
        self.layout, self.records = first.layout, first.records
        self.builder = ScriptedEngine(self.layout)
        self.render()

    @classmethod
    def of(
        cls, root: Path, graph: Mapping[str, Sequence[str]], platforms: Iterable[Platform] = BOTH
    ) -> World:
        """Create a catalog of families; see `images`."""
        return cls(root, catalog(root, images(graph, platforms)))

    @property
    def workspace(self) -> Workspace:
        """A workspace of the current catalog, with nothing cached from earlier ones but the layout."""
        found = Workspace(self.root)
        # One `Layout` for all: each holds a share of the writers' lock, which `gc` needs for itself.
        found.catalog, found.layout = self.catalog, self.layout
        return found

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

    def base(self, one: Image) -> Parent | None:
        """Return the image's own parent: the Dockerfiles of a world have no stages."""
        return one.parent

    def save(self, lock: Lock) -> None:
        """Keep the lock."""
        self.lock = lock

    @property
    def planning(self) -> planning.Planning:
        """The parts that plans are made from."""
        return self.workspace.planning

    def named(self, *names: str) -> tuple[Image, ...]:
        """Find images by name; all if none is named."""
        return tuple(one for one in self.catalog.images if not names or one.name in names)

    def plan(self, *names: str) -> Plan:
        """Plan images by name, or all."""
        return planning.plan(self.named(*names), self.lock, self.planning)

    def reasons(self, *names: str) -> dict[str, str]:
        """Plan, and return each image's reason."""
        return {step.image.name: step.why for step in self.plan(*names).steps}

    def build(self, *names: str, jobs: int = 2, slots: Slots | None = None, **more: Any) -> Run:
        """Plan and build images by name, or all."""
        workspace = self.workspace
        workspace.engine, workspace.dockerfiles = self.builder, self
        each = slots or Slots(dict.fromkeys(BOTH, (LOCAL,)), {LOCAL: jobs})
        how = workspace.building(each, self.events.append, pause=self.pauses.append)
        self.builder.forget()
        return build(
            self.plan(*names), self.lock, replace(how, **{"sbom": self.sbom, "today": TODAY, **more})
        )

    def sbom(self, one: Image, built: Descriptor) -> Sbom:
        """Fail: a test whose catalog asks for SBOMs passes its own generator."""
        raise AssertionError(one.name)

    def change(self, name: str, **more: Any) -> None:
        """Change some settings of an image."""
        found = [replace(one, **more) if one.name == name else one for one in self.catalog.images]
        self.catalog = replace(self.catalog, images=tuple(found))


def states(run: Run) -> dict[str, str]:
    """The state of each image after a run."""
    return {result.image.name: str(result.state) for result in run.results}
