"""What a build is made with: the stages and the outside, put together for the commands that build."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from dfgen.catalog.lockfile import LOCK_FILE, Lock
from dfgen.catalog.model import Builder, Image
from dfgen.cli.app import App
from dfgen.cli.planner import Planner
from dfgen.commands import plan as planning
from dfgen.commands.building import Building, smoke
from dfgen.commands.building.difference import first_difference
from dfgen.commands.building.published import Published
from dfgen.commands.building.relock import is_behind
from dfgen.commands.building.run import Event
from dfgen.commands.building.twice import Twice
from dfgen.commands.merge import merge_layout
from dfgen.commands.plan.inputs import Plan
from dfgen.commands.render import Change, File, render_image
from dfgen.engine.buildx import Buildx
from dfgen.engine.containers import Engine
from dfgen.engine.nodes import Slots
from dfgen.errors import CheckError
from dfgen.filetree import files
from dfgen.oci.manifest import Descriptor
from dfgen.oci.reference import Reference
from dfgen.sbom.model import Bill


@dataclass(eq=False)
class Workshop(Planner):
    """The parts of a build, each made when it is first asked for."""

    @cached_property
    def engine(self) -> Engine:
        """What runs built images."""
        return Engine(self.app.nodes, self.app.layout)

    def reviewed(self, images: Sequence[Image], *, locked: bool) -> tuple[Plan, tuple[str, ...]]:
        """Plan images and what they are built on, all with the Dockerfiles that the catalog renders.

        Those that a build which was broken off left behind the lock are written again, and told in a sentence
        each, unless the run is `locked`. Any other that differs is not built: nobody reviewed that image.
        Errors: CheckError with every file concerned.
        """
        whole = planning.with_parents(images, self.app.catalog)
        rendering = self.rendering(whole)
        by_path = {str(image.dockerfile): image for image in whole} if rendering.differing else {}
        behind = [file for file in rendering.differing if not locked and self._is_behind(file, by_path)]
        for file in behind:
            Sources(self.app).rerender(by_path[file.path], self.app.lock)
        plan = self.plan(images)
        left = [file for file in rendering.differing if file not in behind]
        if left:
            raise CheckError(file.problem for file in left)
        why = {
            Change.NEW: "was not there yet",
            Change.CHANGED: "had other pins of the catalog's own families",
        }
        return plan, tuple(f"{file.path}: rendered, it {why[file.change]}" for file in behind)

    def _is_behind(self, file: File, by_path: Mapping[str, Image]) -> bool:
        def again(image: Image, lock: Lock) -> str:
            """With today's templates, and the lock that it is given."""
            return render_image(self.app.catalog, image, lock, self.app.templates_for(image))

        image = by_path.get(file.path)
        written = file.change in (Change.NEW, Change.CHANGED)
        return bool(image and written and is_behind(image, file.old, self.app.lock, again))

    def building(self, slots: Slots, report: Callable[[Event], None]) -> Building:
        """What a run builds with."""
        return Building(
            catalog=self.app.catalog,
            store=self.app.layout,
            builder=self.builder,
            slots=slots,
            answers=self.app.nodes.answers,
            published=lambda _step, _on_step: (),
            causes=self.causes,
            smoke=self._smoke,
            judge=partial(planning.judge, how=self.planning),
            merge=self._merge,
            sources=Sources(self.app),
            records=self.records,
            report=report,
            pause=time.sleep,
            stop=self.stop,
            today=self.app.today,
            past=self.records.past_seconds(),
            bill=self._bill if self.app.catalog.lists_packages else None,
        )

    @cached_property
    def builder(self) -> Buildx:
        """What builds images."""
        return Buildx(self.app.root, self.app.layout, self.app.nodes)

    @property
    def twice(self) -> Twice:
        """What builds images twice, and compares."""
        return Twice(builder=self.builder, store=self.app.layout, difference=first_difference)

    @cached_property
    def published(self) -> Published:
        """Where images are taken from that were published with the same inputs."""
        catalog = self.app.catalog

        def tags(image: Image) -> Sequence[Reference]:
            """Where an image can be found, with its attestations first."""
            # Attestations are beside the images of the merged index; a tag of its own has the image alone.
            beside = catalog.provenance or catalog.sbom or catalog.lists_packages
            stems = (image.version, image.tag) if beside else (image.tag,)
            return [catalog.reference(image.family.name, stem) for stem in stems]

        return Published(self.app.registry, self.app.layout, tags)

    def stop(self) -> None:
        """End everything that runs."""
        self.app.nodes.processes.stop()
        self.engine.stop()

    def _smoke(self, image: Image, built: Descriptor, node: Builder) -> None:
        smoke.smoke(image, built, node, self.engine, partial(self.records.append_log, image))

    def _bill(self, image: Image, built: Descriptor) -> Bill:
        from dfgen.sbom.generate import Bills

        return Bills(self.app.layout, self.app.catalog.source_date_epoch).make(image, built)

    def _merge(self, images: Sequence[Image], lock: Lock) -> Descriptor:
        name = images[0].merged_name
        found = merge_layout(self.app.layout, lock, {name: images})
        if found.failed:
            raise found.failed
        return found.merged[0].index.descriptor


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """The lock and the Dockerfiles, for a build that moves the pin of a family."""

    app: App

    def save(self, lock: Lock) -> None:
        """Write the lock."""
        files.write(self.app.root / LOCK_FILE, lock.to_text())

    def rerender(self, image: Image, lock: Lock) -> str | None:
        """Write an image's Dockerfile again; returns its path when it changed.

        Errors: CheckError for one that was edited by hand, besides those of rendering.
        """
        path = str(image.dockerfile)
        new = render_image(self.app.catalog, image, lock, self.app.templates_for(image))
        target = self.app.root / path
        old = target.read_bytes().decode("utf-8", errors="surrogateescape") if target.exists() else None
        file = File(path=path, old=old, new=new)
        if file.change is Change.NONE:
            return None
        if file.change in (Change.EDITED, Change.FOREIGN):
            raise CheckError(file.problem)
        files.write(target, new)
        return path
