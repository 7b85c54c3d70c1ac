"""From the folders of a catalog to its records; every problem of every file is told at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from dfgen.model import schema, yaml
from dfgen.model.catalog import BASES, Builder, Catalog, Family, Image, JinjaOptions, Parent
from dfgen.model.expand import DEFAULT_PLATFORMS, Expander, Expressions
from dfgen.model.graph import check_graph
from dfgen.model.layers import Layer
from dfgen.model.yaml import Document
from dfgen.values.errors import InputError, Place, Problem, nearest
from dfgen.values.platform import Platform
from dfgen.values.reference import Reference

CATALOG_FILE = f"{BASES}/catalog.yaml"
_DEFAULT_REGISTRY = "localhost"
_FAMILY_NAME = "letters, digits, '.', '_' and '-', all lower case"


class TemplateFolder(Expressions, Protocol):
    """The folder of templates: it evaluates expressions and knows which templates there are."""

    def names(self) -> tuple[str, ...]:
        """Every template that exists."""


def load(root: Path, templates: TemplateFolder) -> Catalog:
    """Read a whole catalog.

    Errors: InputError with all problems of all files, or with what to do where there is no catalog.
    """
    documents = _documents(root)
    settings = documents.pop(CATALOG_FILE, None) or Document(CATALOG_FILE, {}, {}, {}, {})
    defaults = _defaults(settings)
    families = {document.file.split("/")[1]: document for document in documents.values()}
    catalog = _catalog(root, defaults, families)
    images = _gather(_expand(catalog, families, defaults, templates))
    check_graph(images, frozenset(templates.names()))
    return catalog.with_images(tuple(images))


def _documents(root: Path) -> dict[str, Document]:
    """Read every YAML file of the catalog and hold it against its schema."""
    if not (root / BASES).is_dir():
        raise InputError(
            Problem(Place(f"{BASES}/"), f"no catalog in {root}; run `dfgen init`, or name its folder with -C")
        )
    files = sorted((root / BASES).glob("*/base.yaml"))
    catalog_file = root / CATALOG_FILE
    if not files:
        raise InputError(Problem(Place(f"{BASES}/"), "no family in it; run `dfgen new FAMILY`"))
    found: dict[str, Document] = {}
    problems: list[Problem] = []
    for path in (*([catalog_file] if catalog_file.exists() else []), *files):
        shown = str(PurePosixPath(path.relative_to(root)))
        try:
            found[shown] = yaml.read(path, shown)
            schema.check(found[shown], "catalog" if path == catalog_file else "base")
            _check_name(shown)
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(problems)
    return found


def _check_name(shown: str) -> None:
    if shown == CATALOG_FILE:
        return
    family = shown.split("/")[1]
    try:
        Reference.parse(f"{_DEFAULT_REGISTRY}/{family}:1")
    except InputError:
        raise InputError(Problem(Place(shown), f"{family!r} is not a family name: {_FAMILY_NAME}")) from None


def _defaults(document: Document) -> Layer:
    settings = document.data or {}
    return Layer(document, (), {"platforms": list(DEFAULT_PLATFORMS), **settings})


def _catalog(root: Path, defaults: Layer, families: Mapping[str, Document]) -> Catalog:
    settings = defaults.settings
    _gather(
        [_reader(defaults, "registry"), *(_reader(defaults, "mirrors", key) for key in _mirrors(settings))]
    )
    builders: dict[Platform, Builder] = {}
    for alias, entry in (settings.get("builders") or {}).items():
        builders[_at(defaults.place("builders", alias), Platform.parse, alias)] = Builder(**entry)
    ca_file = settings.get("ca_file")
    return Catalog(
        root=root,
        registry=settings.get("registry", _DEFAULT_REGISTRY),
        mirrors=_mirrors(settings),
        builders=builders,
        source_date_epoch=settings.get("source_date_epoch", 0),
        provenance=settings.get("provenance", False),
        insecure_registries=frozenset(settings.get("insecure_registries") or ()),
        ca_file=root / ca_file if ca_file else None,
        families={name: _family(name, document, settings) for name, document in families.items()},
        images=(),
    )


def _mirrors(settings: Mapping[str, Any]) -> Mapping[str, str]:
    return settings.get("mirrors") or {}


def _reader(layer: Layer, *keys: str) -> Iterator[Any]:
    """Check that a registry or mirror can be the beginning of a reference."""
    value: Any = layer.settings
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    if value:
        expected = "expected a registry and path such as registry.example.com/platform"
        try:
            Reference.parse(f"{value}/x:1")
        except InputError:
            raise InputError(Problem(layer.place(*keys), f"{value!r} cannot be used; {expected}")) from None
    yield from ()


def _family(name: str, document: Document, defaults: Mapping[str, Any]) -> Family:
    data = document.data
    return Family(
        name=name,
        description=data.get("description", ""),
        context=PurePosixPath(BASES, name, data.get("context", ".")),
        snippets=frozenset(data.get("snippets") or ()),
        jinja=JinjaOptions(**{**(defaults.get("jinja") or {}), **(data.get("jinja") or {})}),
        architecture_independent=data.get("architecture_independent", False),
        lint=data.get("lint") or {},
    )


def _expand(
    catalog: Catalog, families: Mapping[str, Document], defaults: Layer, expressions: Expressions
) -> Iterator[Iterator[Image]]:
    resolver = _Resolver(catalog)
    for name, document in families.items():
        expander = Expander(document, catalog.families[name], defaults, expressions, resolver.parent)
        yield expander.images()


def _gather(parts: Any) -> list[Any]:
    """Exhaust every part, so that the problems of all of them are told together."""
    found: list[Any] = []
    problems: list[Problem] = []
    for part in parts:
        try:
            found.extend(part)
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(problems)
    return found


def _at(place: Place, function: Callable[[str], Any], argument: str) -> Any:
    """Call a parser of values and give its errors a place."""
    try:
        return function(argument)
    except InputError as error:
        raise InputError(Problem(place, str(error))) from None


class _Resolver:
    """Tells the catalog's own families from upstream parents."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def parent(self, text: str, platform: Platform, place: Place) -> Parent:
        name = text.removeprefix(f"{self.catalog.registry}/")
        family, colon, version = name.partition(":")
        if family in self.catalog.families:
            if not colon or "@" in version:
                raise InputError(Problem(place, f"parent {text!r} is a family; expected {family}:VERSION"))
            reference = _at(place, Reference.parse, f"{self.catalog.registry}/{name}")
            return Parent(reference=reference, platform=platform, place=place, family=family, version=version)
        reference = _at(place, Reference.parse, text)
        if not colon and not reference.digest:
            hint = nearest(text, list(self.catalog.families))
            raise InputError(Problem(place, f"parent {text!r} has no tag{hint}; write {text}:TAG"))
        return Parent(reference=reference, platform=platform, place=place)
