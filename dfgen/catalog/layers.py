"""Merge layers of settings: catalog < family < platform < version < version's platform < overrides.

Later layers override earlier ones; lists of packages and tests are joined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dfgen.catalog.yaml import Document, KeyPath
from dfgen.errors import Place


@dataclass(frozen=True, slots=True)
class Package:
    """A package of the distribution; `version` is empty if it is not pinned."""

    name: str
    version: str = ""

    def __str__(self) -> str:
        """Format it as an argument of apt and apk: `name=version`."""
        return f"{self.name}={self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A mapping of settings, and its path in the document.

    `settings` has the keys of the schema. `variables_path` is set if the variables are not below the key
    `variables`, for example those of a matrix, which are its axes.
    """

    document: Document
    path: KeyPath
    settings: Mapping[str, Any]
    variables_path: KeyPath | None = None

    def place(self, *keys: str | int, on_key: bool = False) -> Place:
        """The place of a value, or of its key if `on_key` is set."""
        if keys[:1] == ("variables",) and self.variables_path is not None:
            return self.document.place((*self.variables_path, *keys[1:]), key=on_key)
        return self.document.place((*self.path, *keys), key=on_key)


Layers = tuple[Layer, ...]

# A small cache is enough: the images of a version are expanded in sequence and mostly share their layers.
_cached = lru_cache(maxsize=64)


@_cached
def last(layers: Layers, key: str) -> tuple[Any, Layer] | None:
    """Return the last layer's value of a key and that layer; None if no layer sets the key."""
    for layer in reversed(layers):
        if layer.settings.get(key) is not None:
            return layer.settings[key], layer
    return None


@_cached
def merged(layers: Layers, key: str) -> Mapping[str, Any]:
    """Merge the mappings of all layers key by key."""
    found: dict[str, Any] = {}
    for layer in layers:
        found.update(layer.settings.get(key) or {})
    return found


@_cached
def merged_with_layers(layers: Layers, key: str) -> Mapping[str, tuple[Any, Layer]]:
    """Merge the mappings of all layers key by key; each value comes with the layer that sets it."""
    found: dict[str, tuple[Any, Layer]] = {}
    for layer in layers:
        found.update({name: (value, layer) for name, value in (layer.settings.get(key) or {}).items()})
    return found


@_cached
def packages(layers: Layers) -> tuple[Package, ...]:
    """Join the package lists of all layers; a later version of a package replaces an earlier one."""
    found: dict[str, Package] = {}
    for layer in layers:
        for entry in layer.settings.get("packages") or ():
            package = (
                Package(entry) if isinstance(entry, str) else Package(entry["name"], entry.get("version", ""))
            )
            found[package.name] = package
    return tuple(found.values())


@_cached
def ignored(layers: Layers) -> Mapping[str, tuple[str, Layer]]:
    """Return the ignored lint rules of a family and a version, each with the reason and its layer."""
    found: dict[str, tuple[str, Layer]] = {}
    for layer in layers:
        rules = (layer.settings.get("lint") or {}).get("ignore") or {}
        found.update({rule: (reason, layer) for rule, reason in rules.items()})
    return found


def ignore_place(rule: str, layer: Layer) -> Place:
    """The place of an entry that ignores a lint rule."""
    return layer.place("lint", "ignore", rule, on_key=True)


def tests(layers: Layers) -> Sequence[tuple[Mapping[str, Any], Place]]:
    """Join the smoke tests of all layers, each with its place."""
    return [
        (entry, layer.place("tests", position))
        for layer in layers
        for position, entry in enumerate(layer.settings.get("tests") or ())
    ]
