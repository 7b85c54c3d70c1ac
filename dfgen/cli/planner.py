"""What plans are made with: it needs the catalog and the layout, and neither engine nor registry."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

from dfgen.catalog.context import ContextReader
from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import TEMPLATES, Image
from dfgen.cli.app import DIST, App
from dfgen.commands import plan as planning
from dfgen.commands.building.records import Records
from dfgen.commands.plan import Planning
from dfgen.commands.plan.inputs import Causes, Plan, Reason, causes_of
from dfgen.commands.render import File, Rendering, render
from dfgen.filetree import Folder, files
from dfgen.templating.usage import TemplateUsage, made_from, usages

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
