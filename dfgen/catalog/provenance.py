"""Find the origin of an image's variables: the setting's layer, file, line and column."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dfgen.catalog import layers as merging
from dfgen.catalog.layers import Layer
from dfgen.catalog.lockfile import LOCK_FILE, Lock
from dfgen.catalog.model import Image, Parent
from dfgen.catalog.variables import DESCRIPTION, TITLE, VERSION
from dfgen.errors import Place
from dfgen.oci.manifest import BASE_DIGEST, BASE_NAME
from dfgen.oci.platform import Platform

DFGEN = "dfgen"
LOCK = "lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The value of a variable, or of a part of it, and its origin.

    `by` is `catalog`, `family`, `matrix`, `version`, `platform`, `override`, `lock`, or `dfgen` for values
    that dfgen derives from the image's name. `place` is None if the value comes from no file. `entry` is the
    text of an entry of a list or mapping, to find the entry in a rendered line.
    """

    name: str
    value: Any
    by: str
    place: Place | None
    entry: str = ""


class Settings:
    """The origins of one image's variables; `lock_text` is the text that `lock` was parsed from."""

    def __init__(self, image: Image, lock: Lock, lock_text: str) -> None:
        self._image = image
        self._lock = lock
        self._lock_text = lock_text

    def of(self, name: str, value: Any) -> tuple[Setting, ...]:
        """Return the origins of a variable with this value in the template; empty if it is unknown."""
        if name in self._parents:
            return tuple(self._parents[name])
        if name in self._variables:
            layer = self._variables[name][1]
            return (
                Setting(name=name, value=value, by=kind(layer), place=_variable_place(layer, name, value)),
            )
        if name == "labels":
            return tuple(self._labels(value))
        if name == "packages":
            return tuple(self._packages())
        own = self._own.get(name)
        return (Setting(name=name, value=_plain(value), by=own[0], place=own[1]),) if own else ()

    @cached_property
    def _variables(self) -> Mapping[str, tuple[Any, Layer]]:
        return merging.merged_with_layers(self._image.layers, "variables")

    @cached_property
    def _parents(self) -> Mapping[str, list[Setting]]:
        """The variables `parent` and `parents`: the catalog's reference and the lock's pin of each."""
        stages = [
            one
            for name, parent in self._image.parents.items()
            for one in self._parent(f"parents.{name}", parent)
        ]
        parent = self._image.parent
        return {"parent": [*self._parent("parent", parent)] if parent else [], "parents": stages}

    def _parent(self, name: str, parent: Parent) -> Iterator[Setting]:
        layer = _layer_at(self._image, parent.place)
        yield Setting(name=name, value=parent.key, by=kind(layer) if layer else "family", place=parent.place)
        pin = self._lock.pin(parent)
        if pin:
            place = pin_place(self._lock_text, parent.key, parent.platform)
            yield Setting(name=name, value=str(pin.digest), by=LOCK, place=place)

    def _labels(self, value: Mapping[str, Any]) -> Iterator[Setting]:
        set_by = merging.merged_with_layers(self._image.layers, "labels")
        for key, text in value.items():
            layer = set_by[key][1] if key in set_by else None
            by, place = (kind(layer), layer.place("labels", key)) if layer else self._automatic[key]
            yield Setting(name=f"labels[{key!r}]", value=text, by=by, place=place, entry=key)

    @cached_property
    def _automatic(self) -> Mapping[str, tuple[str, Place | None]]:
        """The origins of the labels that dfgen sets itself."""
        found = {
            TITLE: self._own["family"],
            VERSION: self._own["version"],
            DESCRIPTION: self._own["description"],
        }
        # The base is one of the stages; which one, only the rendered Dockerfile says.
        for parent, *pin in ([*self._parent(name, one)] for name, one in self._image.stages.items()):
            place = pin[0].place if pin else Place(LOCK_FILE)
            found.setdefault(BASE_NAME, (parent.by, parent.place))
            found.setdefault(BASE_DIGEST, (LOCK, place))
        return found

    def _packages(self) -> Iterator[Setting]:
        for layer in self._image.layers:
            for position, entry in enumerate(layer.settings.get("packages") or ()):
                shown = str(*merging.packages((Layer(layer.document, (), {"packages": [entry]}),)))
                place = layer.place("packages", position)
                yield Setting(name="packages", value=shown, by=kind(layer), place=place, entry=shown)

    @cached_property
    def _own(self) -> Mapping[str, tuple[str, Place | None]]:
        """The origins of the variables that dfgen defines in every template."""
        image, version = self._image, self._version()
        family = Place(image.family.base_file)
        return {
            "family": (DFGEN, family),
            "description": _set_by(image, "description"),
            "version": (kind(version[0]), version[1]),
            "platform": self._platform(),
            "arch": self._platform(),
            "registry": _set_by(image, "registry"),
            "image": (DFGEN, version[1]),
        }

    def _version(self) -> tuple[Layer, Place]:
        for layer in reversed(self._image.layers):
            if layer.path == ("versions",):
                position = layer.document.data["versions"].index(self._image.version)
                return layer, layer.place(position)
            if layer.path[:1] == ("versions",):
                return layer, layer.document.place(layer.path[:2], key=True)
            if layer.path[:1] == ("matrix",):
                return layer, layer.document.place(("matrix", "version"))
        raise AssertionError("an image without a version")

    def _platform(self) -> tuple[str, Place | None]:
        # In overrides, `platforms` only restricts the platforms that another layer selects.
        layers = tuple(layer for layer in self._image.layers if layer.path[:1] != ("overrides",))
        found = merging.last(layers, "platforms")
        if found is None or not (found[1].path or "platforms" in (found[1].document.data or {})):
            return DFGEN, None
        aliases, layer = found
        at = next(at for at, alias in enumerate(aliases) if Platform.parse(alias) == self._image.platform)
        key = list(aliases)[at] if isinstance(aliases, dict) else at
        return kind(layer), layer.place("platforms", key, on_key=isinstance(aliases, dict))


def kind(layer: Layer) -> str:
    """Return the kind of a layer, as in `Setting.by`."""
    if "platforms" in layer.path:
        return "platform"
    if layer.path:
        return {"versions": "version", "overrides": "override"}.get(str(layer.path[0]), str(layer.path[0]))
    return "family" if layer.document.file.endswith("/base.yaml") else "catalog"


def pin_place(lock_text: str, key: str, platform: Platform) -> Place:
    """Find the place of a pin in the lock's text; relies on dfgen's format of one digest per line."""
    inside = False
    for number, line in enumerate(lock_text.splitlines(), 1):
        start = line.lstrip()
        if start.startswith(f"{json.dumps(key)}: {{"):
            inside = True
        elif inside and start.startswith(f'"{platform}": '):
            return Place(LOCK_FILE, number, len(line) - len(start) + 1)
    return Place(LOCK_FILE)


def _variable_place(layer: Layer, name: str, value: Any) -> Place:
    """Return the place of a variable; in a matrix, its value in the axis or the included combination."""
    if layer.path != ("matrix",):
        return layer.place("variables", name)
    matrix, document = layer.document.data["matrix"], layer.document
    if name in matrix["axes"]:
        return document.place(("matrix", "axes", name, matrix["axes"][name].index(value)))
    combination = layer.settings["variables"]
    for position, entry in enumerate(matrix.get("include") or ()):
        if name in entry and all(combination.get(key) == one for key, one in entry.items()):
            return document.place(("matrix", "include", position, name))
    return document.place(("matrix",))


def _set_by(image: Image, key: str) -> tuple[str, Place | None]:
    found = merging.last(image.layers, key)
    return (kind(found[1]), found[1].place(key)) if found else (DFGEN, None)


def _layer_at(image: Image, place: Place) -> Layer | None:
    """Return the layer that sets the parent at `place`."""
    # Reversed: the last layer that sets the parent is the one in effect.
    for layer in reversed(image.layers):
        names = [("parent",), *(("parents", name) for name in layer.settings.get("parents") or ())]
        if any(layer.place(*keys) == place for keys in names if keys[0] in layer.settings):
            return layer
    return None


def _plain(value: Any) -> Any:
    """Convert a value into one that JSON can represent."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value if type(value) in (bool, int, float, str, type(None)) else str(value)
