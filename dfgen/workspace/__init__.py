"""The composition root: a catalog in a folder, with its templates, lock, layout, registry and engines.

Each part is created when it is first used, and imported there: `dfgen render` of an unchanged catalog needs
neither the registry client nor the engine.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from dfgen.catalog.model import BASES, TEMPLATES, Family, Image, JinjaOptions
from dfgen.errors import DfgenError, InputError, Place, Problem

if TYPE_CHECKING:
    from dfgen.catalog.lockfile import Lock, LockedParent
    from dfgen.catalog.model import Builder, Catalog
    from dfgen.commands.building import Building
    from dfgen.commands.building.published import Published
    from dfgen.commands.building.run import Event
    from dfgen.commands.plan import Planning
    from dfgen.commands.plan.inputs import Causes
    from dfgen.commands.plan.records import Records
    from dfgen.commands.publish import Publishing
    from dfgen.commands.render import Dockerfiles
    from dfgen.engine.buildx import Buildx
    from dfgen.engine.containers import Engine as Containers
    from dfgen.engine.nodes import Nodes, Slots
    from dfgen.engine.request import BuildRequest, OnStep
    from dfgen.oci.layout import Layout
    from dfgen.oci.manifest import Descriptor
    from dfgen.oci.reference import Reference
    from dfgen.registry import Registry
    from dfgen.sbom.model import Sbom
    from dfgen.templating import Templates
    from dfgen.templating.usage import TemplateUsage

DIST = "dist"


@dataclass(eq=False)
class Workspace:
    """A catalog opened at a folder, with everything that commands need to work on it.

    `deadline` limits each request to a registry, in seconds.
    """

    root: Path
    deadline: float = 60.0

    def __post_init__(self) -> None:
        """Cache template environments by their options: each is compiled once in a run."""
        self._templates: dict[tuple[JinjaOptions, frozenset[str]], Templates] = {}
        self._of_families: dict[Family, Templates] = {}

    def templates(self, options: JinjaOptions, snippets: frozenset[str] = frozenset()) -> Templates:
        """Give the templates under a family's options."""
        from dfgen.templating import TemplateOptions, Templates

        key = (options, snippets)
        if key not in self._templates:
            given = TemplateOptions(
                trim_blocks=options.trim_blocks,
                lstrip_blocks=options.lstrip_blocks,
                keep_trailing_newline=options.keep_trailing_newline,
            )
            self._templates[key] = Templates(self.root / TEMPLATES, TEMPLATES, given, snippets)
        return self._templates[key]

    def templates_for(self, image: Image) -> Templates:
        """Give the templates as an image's family reads them."""
        family = image.family
        if family not in self._of_families:
            self._of_families[family] = self.templates(family.jinja, family.snippets)
        return self._of_families[family]

    @cached_property
    def catalog(self) -> Catalog:
        """The whole catalog."""
        if not self.root.is_dir():
            raise InputError(Problem(Place(str(self.root)), "is not a folder; name the catalog's with -C"))
        return self._load("")

    def family(self, name: str) -> Catalog:
        """The catalog with the images of one family alone, in a fraction of the time of a large catalog."""
        return self._load(name)

    def _load(self, only: str) -> Catalog:
        from dfgen.catalog.load import load

        return load(self.root, self.templates(JinjaOptions()), only)

    @cached_property
    def lock(self) -> Lock:
        """The lock as it is on disk."""
        from dfgen.catalog import lockfile as lock

        return lock.read(self.root)

    def images(self, words: Sequence[str]) -> tuple[Image, ...]:
        """Give the images that SELECT selects."""
        from dfgen.catalog.select import select

        return select(self.catalog.images, words)

    @cached_property
    def registry(self) -> Registry:
        """The registry client, as the catalog configures it where there is one."""
        from dfgen.registry import Registry, RegistryOptions

        if not self.has_catalog:
            return Registry(RegistryOptions(deadline=self.deadline))
        insecure, ca_file = self.catalog.insecure_registries, self.catalog.ca_file
        return Registry(RegistryOptions(insecure=insecure, ca_file=ca_file, deadline=self.deadline))

    def targets(self, registries: Sequence[str]) -> Sequence[str]:
        """Where to publish: what the command line names, else the catalog's own registry."""
        from dfgen.oci.reference import Reference

        for registry in registries:
            Reference.parse(f"{registry}/x:1")
        return tuple(registries) or (self.catalog.registry,)

    def publishing(
        self,
        registries: Sequence[str],
        *,
        stale: Mapping[str, str],
        force: bool,
        total: Callable[[int], None],
        progress: Callable[[int], None],
    ) -> Publishing:
        """What a publish works with."""
        from dfgen.commands.publish import Publishing
        from dfgen.commands.publish.ledger import Ledger

        return Publishing(
            catalog=self.catalog,
            store=self.layout,
            registry=self.registry,
            ledger=Ledger(self.root / DIST),
            registries=self.targets(registries),
            stale=stale,
            force=force,
            total=total,
            progress=progress,
        )

    @cached_property
    def nodes(self) -> Nodes:
        """The engines and builders that the catalog names, else the local engine."""
        from dfgen.engine.nodes import Nodes
        from dfgen.engine.process import Processes

        return Nodes(self.catalog.builders if self.has_catalog else {}, Processes())

    @cached_property
    def has_catalog(self) -> bool:
        """Whether there is a catalog that can be read; why not is what `catalog` raises."""
        if not (self.root / BASES).is_dir():  # a look costs less than the template engine
            return False
        try:
            return bool(self.catalog.images)
        except DfgenError:
            return False

    @cached_property
    def layout(self) -> Layout:
        """The layout on disk."""
        from dfgen.oci.layout import Layout

        return Layout(self.root / DIST)

    @property
    def today(self) -> str:
        """The date that the lock gives to what is seen first now."""
        return datetime.datetime.now(tz=datetime.UTC).date().isoformat()

    def built(self, key: str) -> LockedParent | None:
        """Pin a version of this catalog from the layout, if it is built: `java-base:1.0`."""
        from dfgen.catalog.lockfile import LockedParent, Pin
        from dfgen.oci.manifest import Index

        entry = self.layout.entries().get(key)
        if entry is None:
            return None
        index = self.layout.manifest(entry)
        if not isinstance(index, Index):
            return None
        pins = {child.platform: Pin(child.digest, child.size) for child in index.images if child.platform}
        return LockedParent(
            digest=entry.digest, media_type=entry.media_type, first_seen=self.today, platforms=pins
        )

    @cached_property
    def records(self) -> Records:
        """The records of earlier builds, below `dist/`."""
        from dfgen.commands.plan.records import Records

        return Records(self.root / DIST)

    @cached_property
    def dockerfiles(self) -> Dockerfiles:
        """The generated Dockerfiles of the catalog."""
        from dfgen.commands.render import Dockerfiles

        return Dockerfiles(self.catalog, self.templates_for)

    @cached_property
    def planning(self) -> Planning:
        """What plans are made from: the catalog, the layout, and neither engine nor registry."""
        from dfgen.catalog.context import ContextReader
        from dfgen.commands.plan import Planning
        from dfgen.filetree import Folder

        return Planning(
            catalog=self.catalog,
            layout=self.layout,
            reader=ContextReader(Folder(self.root), self.catalog.versions),
            records=self.records,
            causes=self.causes,
        )

    def causes(self, image: Image, lock: Lock) -> Causes:
        """Hash what the Dockerfile of an image is rendered from."""
        from dfgen.commands.plan.inputs import causes_of
        from dfgen.templating.usage import made_from

        names = made_from(image.template, self._usages) & self._texts.keys()
        return causes_of(image, lock, {name: self._texts[name] for name in sorted(names)})

    @cached_property
    def _usages(self) -> dict[str, TemplateUsage]:
        from dfgen.templating.usage import usages

        return usages(self._texts)

    @cached_property
    def _texts(self) -> dict[str, str]:
        folder = self.root / TEMPLATES
        found: dict[str, str] = {}
        for path in folder.rglob("*"):
            if not path.is_file():  # a FIFO would block, a device would not end
                continue
            with suppress(OSError):  # a folder, or an unreadable file that no Dockerfile can have come from
                found[path.relative_to(folder).as_posix()] = path.read_text("utf-8", errors="replace")
        return found

    @cached_property
    def buildx(self) -> Buildx:
        """BuildKit on the nodes of the catalog."""
        from dfgen.engine.buildx import Buildx

        return Buildx(self.root, self.layout, self.nodes)

    @cached_property
    def containers(self) -> Containers:
        """The engines that run built images."""
        from dfgen.engine.containers import Engine as Containers

        return Containers(self.nodes, self.layout)

    @cached_property
    def published(self) -> Published:
        """The images of this catalog in its registry, for a build that takes them from there."""
        from dfgen.commands.building.published import Published

        return Published(self.registry, self.layout, self._published_tags)

    def _published_tags(self, image: Image) -> Sequence[Reference]:
        """List the tags that an image may be found under."""
        catalog = self.catalog
        # The merged index lists attestations; a per-architecture tag is the image alone.
        with_attestations = catalog.provenance or catalog.sbom or catalog.lists_packages
        stems = (image.version, image.tag) if with_attestations else (image.tag,)
        return [catalog.reference(image.family.name, stem) for stem in stems]

    def building(self, slots: Slots, report: Callable[[Event], None], **options: Any) -> Building:
        """Wire a build run; `options` are those of `Building`, such as `locked`."""
        from dfgen.commands.building import Building

        return Building(
            planning=self.planning,
            engine=_Engine(self),
            dockerfiles=self.dockerfiles,
            sbom=self._sbom,
            slots=slots,
            report=report,
            today=self.today,
            **options,
        )

    def _sbom(self, image: Image, built: Descriptor) -> Sbom:
        from dfgen.sbom.generate import SbomGenerator

        return SbomGenerator(self.layout, self.catalog.source_date_epoch).make(image, built)


@dataclass(frozen=True, slots=True, eq=False)
class _Engine:
    """The real engine of a build run: BuildKit builds, and the engine of the same node tests."""

    workspace: Workspace

    def build(self, request: BuildRequest, on_step: OnStep) -> tuple[Descriptor, ...]:
        return self.workspace.buildx.build(request, on_step)

    def test(self, image: Image, built: Descriptor, node: Builder) -> None:
        from dfgen.commands.building.smoke import smoke

        def log(text: str) -> None:
            self.workspace.records.append_log(image, text)

        smoke(image, built, node, self.workspace.containers, log)

    def responds(self, node: Builder) -> bool:
        return self.workspace.nodes.responds(node)

    def stop(self) -> None:
        self.workspace.nodes.processes.stop()
        self.workspace.containers.stop()


def in_one_family(workspace: Workspace, words: Sequence[str]) -> tuple[Catalog, Sequence[Image]] | None:
    """What words select in the one family that all of them name, and a catalog of that family alone.

    None where they name several, none, or nothing in it: the whole catalog then says what is meant.
    Errors: InputError for what is wrong with the family.
    """
    names = {_family(word) for word in words}
    name = names.pop() if len(names) == 1 else ""
    if not name or "/" in name or not (workspace.root / BASES / name / "base.yaml").is_file():
        return None
    catalog = workspace.family(name)
    with suppress(InputError):
        from dfgen.catalog.select import select

        return catalog, select(catalog.images, words)
    return None


def _family(word: str) -> str:
    path = PurePosixPath(word)
    if path.parts[:1] == (BASES,) and len(path.parts) > 1:
        return path.parts[1]
    return re.split("[:@]", word)[0]
