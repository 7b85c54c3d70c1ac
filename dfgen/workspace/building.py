"""What a build is made with: the stages and the outside, put together for the commands that build."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial

from dfgen.catalog.context import ContextReader
from dfgen.catalog.lockfile import LOCK_FILE, Lock
from dfgen.catalog.model import TEMPLATES, Builder, Image
from dfgen.commands import plan as planning
from dfgen.commands.building import Building, smoke
from dfgen.commands.building.difference import first_difference
from dfgen.commands.building.published import Published
from dfgen.commands.building.records import Records
from dfgen.commands.building.relock import is_behind
from dfgen.commands.building.run import Event
from dfgen.commands.building.twice import Twice
from dfgen.commands.merge import merge_layout
from dfgen.commands.plan import Planning
from dfgen.commands.plan.inputs import Causes, Plan, Reason, causes_of
from dfgen.commands.render import Change, File, Rendering, render, render_image
from dfgen.engine.buildx import Buildx
from dfgen.engine.containers import Engine
from dfgen.engine.nodes import Slots
from dfgen.errors import CheckError
from dfgen.filetree import Folder, files
from dfgen.oci.manifest import Descriptor
from dfgen.oci.reference import Reference
from dfgen.sbom.model import Bill
from dfgen.templating.usage import TemplateUsage, made_from, usages
from dfgen.workspace import DIST, App

# Reasons, beside changes, for which what was built is not what the catalog says any more, or not known to be.
_MOVED = (Reason.PARENT, Reason.SBOM, Reason.TESTS, Reason.UNTESTED)


@dataclass(eq=False)
class Planner:
    """What is to be built, and what was built and is not what the catalog says any more."""

    app: App

    @cached_property
    def records(self) -> Records:
        """What is kept of builds beside the images."""
        return Records(self.app.root / DIST)

    @cached_property
    def planning(self) -> Planning:
        """What plans are made from."""
        catalog, layout = self.app.catalog, self.app.layout
        reader = ContextReader(Folder(self.app.root), catalog.versions)
        return Planning(
            catalog=catalog,
            images=layout,
            reader=reader,
            records=self.records,
            causes=self.causes,
        )

    def causes(self, image: Image, lock: Lock) -> Causes:
        """Hash what an image's Dockerfile comes from."""
        names = made_from(image.template, self._usages) & self._texts.keys()
        return causes_of(image, lock, {name: self._texts[name] for name in sorted(names)})

    @cached_property
    def _usages(self) -> dict[str, TemplateUsage]:
        return usages(self._texts)

    @cached_property
    def _texts(self) -> dict[str, str]:
        folder = self.app.root / TEMPLATES
        found: dict[str, str] = {}
        for path in folder.rglob("*"):
            with suppress(OSError):  # a folder, or one that no Dockerfile can have come from
                found[path.relative_to(folder).as_posix()] = path.read_text("utf-8", errors="replace")
        return found

    def plan(self, images: Sequence[Image]) -> Plan:
        """Plan images and what they are built on."""
        return planning.plan(images, self.app.lock, self.planning)

    def foreseen(self, images: Sequence[Image]) -> tuple[Plan, tuple[File, ...]]:
        """Plan images as they will be built, and say which Dockerfiles are to be rendered before."""
        rendering = self.rendering(planning.with_parents(images, self.app.catalog))
        texts = {file.path: file.new for file in rendering.files if file.new is not None}
        reader = ContextReader(Folder(self.app.root), self.app.catalog.versions, texts)
        return planning.plan(
            images, self.app.lock, replace(self.planning, reader=reader)
        ), rendering.differing

    def stale(self, images: Sequence[Image]) -> dict[str, str]:
        """Say of built images of these versions, by name, in what the catalog has moved on since."""
        names = dict.fromkeys(image.merged_name for image in images)
        whole = [image for name in names for image in self.app.catalog.versions[name]]
        differing = {file.path for file in self.rendering(whole).differing}
        steps = [planning.judge(image, self.app.lock, self.planning) for image in whole]
        moved = {one.image.name: one.why for one in steps if one.reason.is_change or one.reason in _MOVED}
        # What waits to be rendered says more than how an older Dockerfile differs.
        unlike = {
            image.name: "its Dockerfile is to be rendered"
            for image in whole
            if str(image.dockerfile) in differing
        }
        return {**moved, **unlike}

    def rendering(self, images: Sequence[Image]) -> Rendering:
        """What rendering these images would change."""
        there = self._dockerfiles(images)
        return render(self.app.catalog, images, self.app.lock, self.app.templates_for, there)

    def _dockerfiles(self, images: Sequence[Image]) -> dict[str, str]:
        return files.dockerfiles(self.app.root, [image.path for image in images])


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
            answers=self.app.nodes.responds,
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
