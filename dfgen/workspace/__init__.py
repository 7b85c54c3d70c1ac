"""What commands share: the catalog, its lock and the outside, each made when it is first asked for."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dfgen.catalog.model import BASES, TEMPLATES, Catalog, Family, Image, JinjaOptions
from dfgen.catalog.select import select
from dfgen.errors import DfgenError, InputError, Place, Problem

if TYPE_CHECKING:
    from dfgen.catalog.lockfile import Lock, LockedParent
    from dfgen.catalog.model import Catalog
    from dfgen.commands.publish import Publishing
    from dfgen.engine.nodes import Nodes
    from dfgen.oci.layout import Layout
    from dfgen.registry import Registry
    from dfgen.templating import Templates

# All else is imported where it is used: a render of what has not changed does without.


DIST = "dist"


@dataclass(eq=False)
class App:
    """One run of a command: where it works and how it prints."""

    root: Path
    output: str
    deadline: float = 60.0

    def __post_init__(self) -> None:
        """Keep environments of templates by their options: one is compiled for the whole run."""
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


def in_one_family(app: App, words: Sequence[str]) -> tuple[Catalog, Sequence[Image]] | None:
    """What words select in the one family that all of them name, and a catalog of that family alone.

    None where they name several, none, or nothing in it: the whole catalog then says what is meant.
    Errors: InputError for what is wrong with the family.
    """
    names = {_family(word) for word in words}
    name = names.pop() if len(names) == 1 else ""
    if not name or "/" in name or not (app.root / BASES / name / "base.yaml").is_file():
        return None
    catalog = app.family(name)
    with suppress(InputError):
        return catalog, select(catalog.images, words)
    return None


def _family(word: str) -> str:
    path = PurePosixPath(word)
    if path.parts[:1] == (BASES,) and len(path.parts) > 1:
        return path.parts[1]
    return re.split("[:@]", word)[0]
