"""Load a catalog from its folder; the problems of all files are reported in one error."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from dfgen.catalog import schema, yaml
from dfgen.catalog.expand import DEFAULT_PLATFORMS, Expander, Expressions
from dfgen.catalog.graph import check_parents, check_tags
from dfgen.catalog.layers import Layer
from dfgen.catalog.model import (
    BASES,
    CATALOG_FILE,
    PACKAGES,
    PLACEHOLDER,
    PLACEHOLDERS,
    BuildCache,
    Builder,
    Catalog,
    Family,
    Image,
    JinjaOptions,
    Parent,
    check_family_name,
)
from dfgen.catalog.notation import literal_braces
from dfgen.catalog.yaml import Document
from dfgen.errors import Gathering, InputError, Place, Problem, listing, nearest, placed
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference

_DEFAULT_REGISTRY = "localhost"
_MAX_IMAGES = 100_000  # of all families; a matrix of a few lines could have millions
_PROVENANCE = {False: "", True: "max"}


class TemplateFolder(Expressions, Protocol):
    """The folder of templates: lists them and evaluates expressions."""

    def names(self) -> tuple[str, ...]:
        """The names of all templates."""

    def is_expression(self, text: str) -> bool:
        """Whether a template could contain this text between `{{` and `}}`."""


def load(root: Path, templates: TemplateFolder, only: str = "") -> Catalog:
    """Load the catalog in the folder `root`.

    If `only` names a family, only that family's images are expanded. This is faster, but skips the check of
    parents and cycles between families.
    Raises InputError with all problems of all files, or with a hint if there is no catalog.
    """
    defaults, families = _read(root, templates)
    catalog = _catalog(root, defaults, families)
    resolver = _Resolver(catalog)
    images: list[Image] = []
    gathering = Gathering()
    known = frozenset(templates.names())
    for name in [only] if only in families else families:
        document = families[name]
        expander = Expander(document, catalog.families[name], defaults, templates, known, resolver.parent)
        with gathering.step():
            images.extend(expander.images())
        if len(images) > _MAX_IMAGES:
            message = f"the catalog has more than {_MAX_IMAGES:,} images; divide it into several catalogs"
            raise InputError([*gathering.problems, Problem(document.place(), message)])
    with gathering.step():
        check_tags(images)
    gathering.check()
    # Parents are checked only in a valid catalog: otherwise, missing images would be reported as well.
    if only not in families:
        check_parents(images)
    return replace(catalog, images=tuple(images))


def _read(root: Path, templates: TemplateFolder) -> tuple[Layer, dict[str, Document]]:
    """Read and validate all YAML files. Returns the catalog's defaults, and the families by name."""
    bases = root / BASES
    if not bases.is_dir():
        other = [path.name for path in root.glob("[Bb][Aa][Ss][Ee][Ss]") if path.is_dir()]
        advice = f"rename {other[0]} to {BASES}" if other else "run `dfgen init`, or pass its folder with -C"
        message = f"no catalog in {root}; {advice}"
        raise InputError(Problem(Place(f"{BASES}/"), message))
    gathering = Gathering()
    defaults = Document(CATALOG_FILE, None, {}, {}, {})
    if os.path.lexists(root / CATALOG_FILE):
        with gathering.step():
            defaults = yaml.read(root, CATALOG_FILE)
            schema.check(defaults, "catalog")
            gathering.problems.extend(literal_braces(defaults, templates.is_expression))
    gathering.problems.extend(_misnamed(root))
    families: dict[str, Document] = {}
    for path in sorted(bases.glob("*/base.yaml")):
        with gathering.step():
            name, shown = path.parent.name, str(PurePosixPath(path.relative_to(root)))
            families[name] = yaml.read(root, shown)
            schema.check(families[name], "base")
            gathering.problems.extend(literal_braces(families[name], templates.is_expression))
            with placed(Place(shown)):
                check_family_name(name)
    gathering.check()
    if not families:
        raise InputError(Problem(Place(f"{BASES}/"), "contains no family; run `dfgen new FAMILY`"))
    # The default platforms are part of the catalog's layer, so that every other layer overrides them.
    settings = {"platforms": list(DEFAULT_PLATFORMS), **(defaults.data or {})}
    return Layer(defaults, (), settings), families


def _misnamed(root: Path) -> Iterator[Problem]:
    """Report files that dfgen would ignore because of their ending, or of capitals."""
    for pattern, name in (("[Cc]*.[Yy]*", "catalog"), ("*/[Bb]*.[Yy]*", "base")):
        for path in sorted((root / BASES).glob(pattern)):
            if path.name != f"{name}.yaml" and path.name.casefold() in (f"{name}.yml", f"{name}.yaml"):
                shown = str(PurePosixPath(path.relative_to(root)))
                yield Problem(Place(shown), f"dfgen reads {name}.yaml only; rename the file")


def _catalog(root: Path, defaults: Layer, families: Mapping[str, Document]) -> Catalog:
    settings = defaults.settings
    gathering = Gathering()
    _check_prefix(gathering, settings.get("registry"), defaults.place("registry"))
    for name, mirror in (settings.get("mirrors") or {}).items():
        _check_prefix(gathering, mirror, defaults.place("mirrors", name))
    builders: dict[Platform, tuple[Builder, ...]] = {}
    for alias, entry in (settings.get("builders") or {}).items():
        with gathering.at(defaults.place("builders", alias)):
            entries = entry if isinstance(entry, list) else [entry]
            builders[Platform.parse(alias)] = tuple(Builder(**one) for one in entries)
    cache = settings.get("build_cache") or {}
    for path in ((part, at) for part in ("from", "to") for at in range(len(cache.get(part, ())))):
        _check_placeholders(gathering, cache[path[0]][path[1]], defaults.place("build_cache", *path))
    gathering.check()
    ca_file, sbom = settings.get("ca_file"), settings.get("sbom", "")
    provenance = settings.get("provenance", False)
    return Catalog(
        root=root,
        registry=settings.get("registry", _DEFAULT_REGISTRY),
        mirrors=settings.get("mirrors") or {},
        builders=builders,
        source_date_epoch=settings.get("source_date_epoch", 0),
        build_cache=BuildCache(sources=tuple(cache.get("from", ())), targets=tuple(cache.get("to", ()))),
        provenance=_PROVENANCE.get(provenance, provenance),
        sbom="" if sbom == PACKAGES else sbom,
        lists_packages=sbom == PACKAGES,
        insecure_registries=frozenset(settings.get("insecure_registries") or ()),
        ca_file=root / ca_file if ca_file else None,
        families={name: _family(name, document, settings) for name, document in families.items()},
        images=(),
    )


def _check_placeholders(gathering: Gathering, text: str, place: Place) -> None:
    """Check that a build cache contains only known placeholders."""
    for name in PLACEHOLDER.findall(text):
        with gathering.step():
            if name not in PLACEHOLDERS:
                known = listing(f"{{{one}}}" for one in PLACEHOLDERS)
                raise InputError(Problem(place, f"unknown placeholder {{{name}}}; known are {known}"))


def _check_prefix(gathering: Gathering, prefix: str | None, place: Place) -> None:
    """Check that a registry or mirror can be the prefix of a reference."""
    with gathering.step():
        try:
            Reference.parse(f"{prefix or _DEFAULT_REGISTRY}/x:1")
        except InputError:
            expected = "expected a registry and path such as registry.example.com/platform"
            raise InputError(Problem(place, f"invalid registry {prefix!r}; {expected}")) from None


def _family(name: str, document: Document, defaults: Mapping[str, Any]) -> Family:
    data = document.data
    return Family(
        name=name,
        description=data.get("description", ""),
        context=_context(name, document),
        snippets=frozenset(data.get("snippets") or ()),
        jinja=JinjaOptions(**{**(defaults.get("jinja") or {}), **(data.get("jinja") or {})}),
        architecture_independent=data.get("architecture_independent", False),
    )


def _context(name: str, document: Document) -> PurePosixPath:
    """Return the build context. Raises InputError if it is outside the catalog's folder.

    Files outside the folder differ between machines, so builds would not be reproducible.
    """
    written = document.data.get("context", ".")
    path = PurePosixPath(posixpath.normpath(PurePosixPath(BASES, name, written)))
    if path.is_absolute() or path.parts[:1] == ("..",):
        message = f"context {written!r} is outside the catalog's folder; use a folder inside it"
        raise InputError(Problem(document.place(("context",)), message))
    return path


class _Resolver:
    """Resolves the text of a parent to a family of the catalog or an upstream image."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def parent(self, text: str, platform: Platform, place: Place) -> Parent:
        """Resolve a parent: FAMILY:VERSION, with or without the catalog's registry, or an upstream reference.

        Raises InputError if an upstream reference has neither tag nor digest, or a family has no version.
        """
        name = text.removeprefix(f"{self.catalog.registry}/")
        with placed(place):
            if name.partition("@")[0].partition(":")[0] in self.catalog.families:
                return self._own(text, platform, place)
            reference = Reference.parse(text)
            if not reference.digest and ":" not in text.rpartition("/")[2]:
                hint = nearest(text, list(self.catalog.families))
                raise InputError(f"parent {text!r} has no tag{hint}; write {text}:TAG")
            return Parent(reference=reference, platform=platform, place=place)

    def _own(self, text: str, platform: Platform, place: Place) -> Parent:
        name = text.removeprefix(f"{self.catalog.registry}/")
        family, _, version = name.partition("@")[0].partition(":")
        if not version or "@" in name:
            raise InputError(f"parent {text!r} is a family of this catalog; expected {family}:VERSION")
        reference = Reference.parse(f"{self.catalog.registry}/{name}")
        return Parent(reference=reference, platform=platform, place=place, family=family, version=version)
