"""Settings in layers: catalog, family, platform, version, overrides; what comes later wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dfgen.catalog.yaml import Document, KeyPath
from dfgen.errors import Place


@dataclass(frozen=True, slots=True)
class Package:
    """A package of the distribution, with the version it is pinned to, if any."""

    name: str
    version: str = ""

    def __str__(self) -> str:
        """Write it as apt and apk take it: `name=version`."""
        return f"{self.name}={self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A mapping of settings, and where it stands.

    `settings` has the keys of the schema; `variables_at` is where its variables stand when that is not below
    its own key, as with the axes of a matrix.
    """

    document: Document
    path: KeyPath
    settings: Mapping[str, Any]
    variables_at: KeyPath | None = None

    def place(self, *keys: str | int, on_key: bool = False) -> Place:
        """Where one of its values stands, or the key of that value."""
        if keys[:1] == ("variables",) and self.variables_at is not None:
            return self.document.place((*self.variables_at, *keys[1:]), key=on_key)
        return self.document.place((*self.path, *keys), key=on_key)


Layers = tuple[Layer, ...]

# The images of a version come one after the other, and mostly have the same layers.
_kept = lru_cache(maxsize=64)


@_kept
def last(layers: Layers, key: str) -> tuple[Any, Layer] | None:
    """Find the value of a key that wins, and the layer that sets it."""
    for layer in reversed(layers):
        if layer.settings.get(key) is not None:
            return layer.settings[key], layer
    return None


@_kept
def merged(layers: Layers, key: str) -> Mapping[str, Any]:
    """Merge mappings key by key."""
    found: dict[str, Any] = {}
    for layer in layers:
        found.update(layer.settings.get(key) or {})
    return found


@_kept
def merged_with_layers(layers: Layers, key: str) -> Mapping[str, tuple[Any, Layer]]:
    """Merge mappings key by key, and keep which layer set each."""
    found: dict[str, tuple[Any, Layer]] = {}
    for layer in layers:
        found.update({name: (value, layer) for name, value in (layer.settings.get(key) or {}).items()})
    return found


@_kept
def packages(layers: Layers) -> tuple[Package, ...]:
    """Join the package lists; a package that stands again takes the later version."""
    found: dict[str, Package] = {}
    for layer in layers:
        for entry in layer.settings.get("packages") or ():
            package = (
                Package(entry) if isinstance(entry, str) else Package(entry["name"], entry.get("version", ""))
            )
            found[package.name] = package
    return tuple(found.values())


def tests(layers: Layers) -> Sequence[tuple[Mapping[str, Any], Place]]:
    """Join the lists of smoke tests, each with its place."""
    return [
        (entry, layer.place("tests", position))
        for layer in layers
        for position, entry in enumerate(layer.settings.get("tests") or ())
    ]
