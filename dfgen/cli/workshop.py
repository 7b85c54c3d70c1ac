"""What a build is made with: the stages and the outside, put together for the commands that build."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from dfgen.cli.app import DIST, App
from dfgen.images.plan import Plan, Reason
from dfgen.images.run import Event
from dfgen.images.sbom import Bill
from dfgen.images.slots import Slots
from dfgen.model.catalog import Builder, Image
from dfgen.model.lock import LOCK_FILE, Lock
from dfgen.outside import files
from dfgen.outside.buildx import Buildx
from dfgen.outside.context import ContextReader
from dfgen.outside.engine import Engine
from dfgen.outside.layers import first_difference
from dfgen.outside.records import Records
from dfgen.stages import plan as planning
from dfgen.stages import smoke
from dfgen.stages.build import Building
from dfgen.stages.build.behind import is_behind
from dfgen.stages.build.published import Published
from dfgen.stages.build.twice import Twice
from dfgen.stages.merge import merge_layout
from dfgen.stages.plan import Planning
from dfgen.stages.render import Change, File, Rendering, render, render_image
from dfgen.values.errors import CheckError
from dfgen.values.manifest import Descriptor
from dfgen.values.reference import Reference

# Reasons for which what was built is not what the catalog says any more.
_MOVED = (Reason.INPUTS, Reason.PARENT, Reason.SBOM)


@dataclass(eq=False)
class Workshop:
    """The parts of a build, each made when it is first asked for."""

    app: App

    @cached_property
    def engine(self) -> Engine:
        """What runs built images."""
        return Engine(self.app.nodes, self.app.layout)

    @cached_property
    def records(self) -> Records:
        """What is kept of builds beside the images."""
        return Records(self.app.root / DIST)

    @cached_property
    def planning(self) -> Planning:
        """What plans are made from."""
        reader = ContextReader(self.app.root)
        catalog, layout = self.app.catalog, self.app.layout
        return Planning(catalog=catalog, images=layout, reader=reader, records=self.records)

    def plan(self, images: Sequence[Image]) -> Plan:
        """Plan images and what they are built on."""
        return planning.plan(images, self.app.lock, self.planning)

    def stale(self, images: Sequence[Image]) -> dict[str, str]:
        """Say of built images of these versions, by name, in what the catalog has moved on since."""
        names = dict.fromkeys(image.merged_name for image in images)
        whole = [image for name in names for image in self.app.catalog.versions[name]]
        differing = {file.path for file in self._rendering(whole).differing}
        steps = [planning.judge(image, self.app.lock, self.planning) for image in whole]
        moved = {one.image.name: one.why for one in steps if one.reason in _MOVED}
        # What waits to be rendered says more than how an older Dockerfile differs.
        unlike = {
            image.name: "its Dockerfile is to be rendered"
            for image in whole
            if str(image.dockerfile) in differing
        }
        return {**moved, **unlike}

    def reviewed(self, images: Sequence[Image], *, locked: bool) -> tuple[Plan, tuple[str, ...]]:
        """Plan images and what they are built on, all with the Dockerfiles that the catalog renders.

        Those that a build which was broken off left behind the lock are written again, and told by path,
        unless the run is `locked`. Any other that differs is not built: nobody reviewed that image.
        Errors: CheckError with every file concerned.
        """
        whole = planning.with_parents(images, self.app.catalog)
        rendering = self._rendering(whole)
        by_path = {str(image.dockerfile): image for image in whole} if rendering.differing else {}
        behind = [file for file in rendering.differing if not locked and self._is_behind(file, by_path)]
        for file in behind:
            Sources(self.app).rerender(by_path[file.path], self.app.lock)
        plan = self.plan(images)
        left = [file for file in rendering.differing if file not in behind]
        if left:
            raise CheckError(file.problem for file in left)
        return plan, tuple(file.path for file in behind)

    def _is_behind(self, file: File, by_path: Mapping[str, Image]) -> bool:
        def again(image: Image, lock: Lock) -> str:
            return render_image(self.app.catalog, image, lock, self.app.templates_for(image))

        image = by_path.get(file.path)
        written = file.change in (Change.NEW, Change.CHANGED)
        return bool(image and written and is_behind(image, file.old, self.app.lock, again))

    def _rendering(self, images: Sequence[Image]) -> Rendering:
        there = self._dockerfiles(images)
        return render(self.app.catalog, images, self.app.lock, self.app.templates_for, there)

    def _dockerfiles(self, images: Sequence[Image]) -> dict[str, str]:
        return files.dockerfiles(self.app.root, [image.path for image in images])

    def building(self, slots: Slots, report: Callable[[Event], None]) -> Building:
        """What a run builds with."""
        return Building(
            catalog=self.app.catalog,
            store=self.app.layout,
            builder=self.builder,
            slots=slots,
            answers=self.app.nodes.answers,
            published=lambda _step, _on_step: (),
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
        from dfgen.outside.packages import Bills

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
