"""The composition root: a catalog opened at a folder, with its lock, layout, registry and engines.

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
    from dfgen.commands.building import Building, Engine
    from dfgen.commands.building.published import Published
    from dfgen.commands.building.run import Event
    from dfgen.commands.plan import Planning
    from dfgen.commands.plan.inputs import Causes, Plan
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

    `deadline` limits each request to a registry, in seconds. `is_above` if the root was found above the
    current folder: paths on the command line are then relative to the current folder.
    """

    root: Path
    deadline: float = 60.0
    is_above: bool = False

    def __post_init__(self) -> None:
        """Cache template environments by their options, so that each template is compiled once in a run."""
        self._templates: dict[tuple[JinjaOptions, frozenset[str]], Templates] = {}
        self._of_families: dict[Family, Templates] = {}

    def templates(self, options: JinjaOptions, snippets: frozenset[str] = frozenset()) -> Templates:
        """The templates, with the Jinja options and snippets of a family."""
        from dfgen.templating import TemplateOptions, Templates

        key = (options, snippets)
        if key not in self._templates:
            jinja = TemplateOptions(
                trim_blocks=options.trim_blocks,
                lstrip_blocks=options.lstrip_blocks,
                keep_trailing_newline=options.keep_trailing_newline,
            )
            self._templates[key] = Templates(self.root / TEMPLATES, TEMPLATES, jinja, snippets)
        return self._templates[key]

    def templates_for(self, image: Image) -> Templates:
        """The templates, with the options of an image's family."""
        family = image.family
        if family not in self._of_families:
            self._of_families[family] = self.templates(family.jinja, family.snippets)
        return self._of_families[family]

    @cached_property
    def catalog(self) -> Catalog:
        """The whole catalog. Raises InputError with all problems of its files."""
        if not self.root.is_dir():
            raise InputError(
                Problem(Place(str(self.root)), "is not a folder; set the catalog's folder with -C")
            )
        return self._load("")

    def family(self, name: str) -> Catalog:
        """The catalog with the images of one family only: faster than loading a large catalog."""
        return self._load(name)

    def _load(self, only: str) -> Catalog:
        from dfgen.catalog.load import load

        return load(self.root, self.templates(JinjaOptions()), only)

    @cached_property
    def lock(self) -> Lock:
        """The lock as it is on disk."""
        from dfgen.catalog import lockfile

        return lockfile.read(self.root)

    def images(self, words: Sequence[str]) -> tuple[Image, ...]:
        """Select images by the SELECT words of a command. Raises InputError for a word that matches none."""
        from dfgen.catalog.select import select

        return select(self.catalog.images, [self.below_root(word) for word in words])

    def below_root(self, word: str) -> str:
        """The path of an existing file or folder relative to the root; any other word unchanged."""
        if not self.is_above or not Path(word).exists():
            return word
        path, root = Path(word).resolve(), self.root.resolve()
        return str(path.relative_to(root)) if path.is_relative_to(root / BASES) else word

    @cached_property
    def registry(self) -> Registry:
        """The registry client, configured by the catalog if there is one."""
        from dfgen.registry import Registry, RegistryOptions

        if not self.has_catalog:
            return Registry(RegistryOptions(deadline=self.deadline))
        insecure, ca_file = self.catalog.insecure_registries, self.catalog.ca_file
        return Registry(RegistryOptions(insecure=insecure, ca_file=ca_file, deadline=self.deadline))

    def targets(self, registries: Sequence[str]) -> Sequence[str]:
        """The registries to publish to: those of the command line, else the catalog's."""
        from dfgen.oci.reference import Reference

        cleaned = tuple(registry.rstrip("/") for registry in registries)
        for registry in cleaned:
            scheme, separator, rest = registry.partition("://")
            if separator:
                raise InputError(f"--registry {registry}: write it without {scheme}://, for example {rest}")
            try:
                Reference.parse(f"{registry}/x:1")
            except InputError:
                message = f"--registry {registry}: is not a registry; expected host[:port][/path]"
                raise InputError(message) from None
        return cleaned or (self.catalog.registry,)

    def publishing(
        self,
        registries: Sequence[str],
        *,
        stale: Mapping[str, str],
        force: bool,
        total: Callable[[int], None],
        progress: Callable[[int], None],
    ) -> Publishing:
        """Wire a publish; see `Publishing`."""
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
        """The catalog's engines and builders, else the local engine."""
        from dfgen.engine.nodes import Nodes
        from dfgen.engine.process import Processes

        return Nodes(self.catalog.builders if self.has_catalog else {}, Processes())

    @cached_property
    def has_catalog(self) -> bool:
        """Whether there is a valid catalog; if not, `catalog` raises the reason."""
        if not (self.root / BASES).is_dir():  # cheaper than importing the template engine
            return False
        try:
            return bool(self.catalog.images)
        except DfgenError:
            return False

    @cached_property
    def layout(self) -> Layout:
        """The OCI layout below `dist/`."""
        from dfgen.oci.layout import Layout

        return Layout(self.root / DIST)

    @property
    def today(self) -> str:
        """The date in UTC, YYYY-MM-DD, for new entries of the lock."""
        return datetime.datetime.now(tz=datetime.UTC).date().isoformat()

    def built(self, key: str) -> LockedParent | None:
        """Pin a version of this catalog, `java-base:1.0`, from the layout; None if it is not built.

        Raises CheckError if its index lists an image for a platform that is not the image's.
        """
        from dfgen.catalog.lockfile import LockedParent, Pin
        from dfgen.errors import CheckError
        from dfgen.oci.images import mislabelled
        from dfgen.oci.manifest import Index

        entry = self.layout.entries().get(key)
        if entry is None:
            return None
        index = self.layout.manifest(entry)
        if not isinstance(index, Index):
            return None
        for child in index.images:
            if child.platform and (wrong := mislabelled(child, child.platform, self.layout)):
                raise CheckError(f"{key}: cannot be pinned: {wrong}; run `dfgen build {key}`")
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
        """Wire planning, which needs neither an engine nor a registry."""
        from dfgen.catalog.context import ContextReader
        from dfgen.commands.plan import Planning
        from dfgen.filetree import Folder

        return Planning(
            catalog=self.catalog,
            layout=self.layout,
            reader=ContextReader(Folder(self.root), self.catalog.versions, upstream=self.lock.triggers),
            records=self.records,
            causes=self.causes,
        )

    def causes(self, image: Image, lock: Lock) -> Causes:
        """Hash everything that the Dockerfile of an image is rendered from."""
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
            if not path.is_file():  # reading a FIFO would block, and a device may never end
                continue
            with suppress(OSError):  # an unreadable file cannot be rendered either
                found[path.relative_to(folder).as_posix()] = path.read_text("utf-8", errors="replace")
        return found

    @cached_property
    def buildx(self) -> Buildx:
        """BuildKit on the nodes of the catalog."""
        from dfgen.engine.buildx import Buildx

        return Buildx(self.root, self.layout, self.nodes)

    @cached_property
    def containers(self) -> Containers:
        """The engines that run built images, for smoke tests and `load`."""
        from dfgen.engine.containers import Engine as Containers

        return Containers(self.nodes, self.layout)

    @cached_property
    def published(self) -> Published:
        """The images of this catalog in its registry, for a build that downloads instead of building."""
        from dfgen.commands.building.published import Published

        return Published(self.registry, self.layout, self._published_tags)

    def _published_tags(self, image: Image) -> Sequence[Reference]:
        """The tags that an image may be published under."""
        catalog = self.catalog
        # Only the merged index lists attestations: a per-architecture tag is an image without them.
        with_attestations = catalog.provenance or catalog.sbom or catalog.lists_packages
        stems = (image.version, image.tag) if with_attestations else (image.tag,)
        return [catalog.reference(image.family.name, stem) for stem in stems]

    @cached_property
    def engine(self) -> Engine:
        """BuildKit and Docker on the nodes of the catalog; tests set an engine that needs no Docker."""
        return _Engine(self)

    def prepare_nodes(self, plan: Plan, jobs: int) -> tuple[Slots, tuple[str, ...]]:
        """Check the nodes that a plan needs, and remove what killed smoke tests left on them.

        `jobs` limits the concurrent builds, 0 for no limit besides those of the nodes. Returns slots for a
        build, and sentences about emulated platforms, skipped nodes and removed containers. Raises
        ExternalError if no node can build a platform.
        """
        from dfgen.engine.cleanup import sweep

        checked = self.nodes.check((step.image.platform for step in plan.needed), plan.tested)
        # Errors are ignored here: an engine that does not respond now is swept by a later run.
        swept = sweep(self.root / DIST, self.nodes).summary()
        notes = (*checked.skipped, *checked.emulated, *([swept] if swept else []))
        # A parent that moves during the run may need builds for platforms that the plan did not need.
        platforms = dict.fromkeys(step.image.platform for step in plan.steps)
        others = {platform: self.nodes.for_platform(platform) for platform in platforms}
        return checked.slots(jobs, others), notes

    def building(self, slots: Slots, report: Callable[[Event], None], **options: Any) -> Building:
        """Wire a build run; `options` are those of `Building`, for example `locked`."""
        from dfgen.commands.building import Building

        return Building(
            planning=self.planning,
            engine=self.engine,
            dockerfiles=self.dockerfiles,
            sbom=self._sbom,
            slots=slots,
            report=report,
            today=self.today,
            origins=self._origins,
            **options,
        )

    def _origins(self, image: Image, lock: Lock) -> Sequence[Place | None]:
        from dfgen.commands.explain import template_lines  # slow to import, and only failed builds need it

        return template_lines(self.catalog, lock, self.templates_for, image)

    def _sbom(self, image: Image, built: Descriptor) -> Sbom:
        from dfgen.sbom.generate import SbomGenerator

        return SbomGenerator(self.layout, self.catalog.source_date_epoch).make(image, built)


@dataclass(frozen=True, slots=True, eq=False)
class _Engine:
    """The real engine: BuildKit builds an image, and the Docker engine of the same node tests it."""

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
    """Fast path: if all words name one family, load only that family and select its images.

    Returns None if the words name several families, or match nothing: the caller loads the whole catalog
    then, which has the better error. Raises InputError with the problems of the family.
    """
    words = [workspace.below_root(word) for word in words]
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


def catalog_above(folder: Path) -> Path | None:
    """Return the nearest folder at or above a folder that contains a catalog; None if there is none.

    The search ends at the top of a git repository: a catalog outside it belongs to another project.
    """
    folder = folder.resolve()
    for found in (folder, *folder.parents):
        bases = found / BASES
        if (bases / "catalog.yaml").is_file() or any(bases.glob("*/base.yaml")):
            return found
        if (found / ".git").exists():
            return None
    return None
