"""The versions of a family: written out, or spanned by the axes of a matrix."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dfgen.errors import InputError, Place, Problem, listing, nearest
from dfgen.model import schema
from dfgen.model.layers import Layer
from dfgen.model.yaml import Document

Cell = dict[str, Any]
# How a version's name is made from a combination: (template text, variables, its place) -> name.
Namer = Callable[[str, Mapping[str, Any], Place], str]


def versions(document: Document, name: Namer) -> dict[str, tuple[Layer, ...]]:
    """List a family's versions in order, each with the layers that are its own.

    Errors: one InputError with every combination or entry that is wrong.
    """
    found = _spanned(document, name) if document.data.get("matrix") else {}
    written = document.data.get("versions") or {}
    if isinstance(written, list):
        for version in _distinct(document, written):
            found.setdefault(version, (Layer(document, ("versions",), {}),))
        return found
    for version, settings in written.items():
        layer = Layer(document, ("versions", version), settings or {})
        found[version] = (*found.get(version, ()), layer)
    return found


def _distinct(document: Document, written: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    problems: list[Problem] = []
    for position, version in enumerate(written):
        if version in seen:
            first = document.place(("versions", seen[version])).line
            place = document.place(("versions", position))
            problems.append(Problem(place, f"version {version!r} stands twice; first in line {first}"))
        seen.setdefault(version, position)
    if problems:
        raise InputError(problems)
    return list(seen)


def _spanned(document: Document, name: Namer) -> dict[str, tuple[Layer, ...]]:
    matrix = document.data["matrix"]
    problems = [*_wrong_axes(document, matrix)]
    if problems:
        raise InputError(problems)
    found: dict[str, tuple[Layer, ...]] = {}
    cells: dict[str, Cell] = {}
    rule = schema.rule("base", "version_name")
    for cell, layer in _layers(document, matrix):
        place = layer.document.place(("matrix", "version"))
        version = name(matrix["version"], cell, place)
        if not re.fullmatch(rule["pattern"], version):
            wrong = f"{_write(cell)} gives {version!r}, which is not {rule['x-expected']}"
            problems.append(Problem(place, wrong))
        elif version in found:
            both = f"{_write(cells[version])} and {_write(cell)}"
            problems.append(Problem(place, f"two combinations give the version {version!r}: {both}"))
        cells.setdefault(version, cell)
        found.setdefault(version, (layer,))
    if problems:
        raise InputError(problems)
    return found


def _wrong_axes(document: Document, matrix: Mapping[str, Any]) -> Iterator[Problem]:
    axes = matrix["axes"]
    for kind in ("exclude", "include"):
        for position, entry in enumerate(matrix.get(kind) or ()):
            path = ("matrix", kind, position)
            if kind == "include":
                for axis in (axis for axis in axes if axis not in entry):
                    yield Problem(document.place(path), f"axis {axis!r} is missing in this combination")
                continue
            unknown = [key for key in entry if key not in axes]
            for key in unknown:
                message = f"unknown axis {key!r}{nearest(key, list(axes))}; the axes are {listing(axes)}"
                yield Problem(document.place((*path, key), key=True), message)
            if not unknown and not any(_agrees(cell, entry) for cell in _product(axes)):
                yield Problem(
                    document.place(path), "this entry excludes nothing: no combination agrees with it"
                )


def _layers(document: Document, matrix: Mapping[str, Any]) -> Iterator[tuple[Cell, Layer]]:
    """Yield every combination with its layer: the product less the excluded, then the included ones.

    An included combination that the product has too only adds its further variables.
    """
    axes, excluded = matrix["axes"], matrix.get("exclude") or ()
    included = dict(enumerate(matrix.get("include") or ()))
    for cell in _product(axes):
        if any(_agrees(cell, entry) for entry in excluded):
            continue
        more = [position for position, entry in included.items() if _agrees(entry, cell)]
        variables = {**cell, **{key: value for one in more for key, value in included.pop(one).items()}}
        yield variables, Layer(document, ("matrix",), {"variables": variables}, ("matrix", "axes"))
    for position, entry in included.items():
        path = ("matrix", "include", position)
        yield dict(entry), Layer(document, path, {"variables": dict(entry)}, path)


def _product(axes: Mapping[str, list[Any]]) -> Iterator[Cell]:
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _agrees(cell: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    """Whether a cell has every value of an entry; a list in an entry stands for any of its values."""
    return all(
        key in cell and cell[key] in (value if isinstance(value, list) else [value])
        for key, value in entry.items()
    )


def _write(cell: Cell) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in cell.items()) + "}"
