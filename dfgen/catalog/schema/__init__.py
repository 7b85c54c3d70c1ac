"""Validate documents with the JSON Schemas that editors also use for completion.

Error texts come from the schema's own keywords `x-expected` and `x-any`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from dfgen.catalog.yaml import Document, KeyPath
from dfgen.errors import InputError, Problem, listing, nearest

_NAMES = {list: "a list", dict: "a mapping"}
_TYPES = {
    "string": "text",
    "object": "a mapping",
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "null": "nothing",
}


def text(name: str) -> str:
    """Return the text of a schema file; `name` is `catalog` or `base`."""
    return resources.files(__name__).joinpath(f"{name}.schema.json").read_text(encoding="utf-8")


def rule(name: str, part: str) -> Mapping[str, Any]:
    """Return one of a schema's `$defs`, to check values that are generated after validation."""
    found: dict[str, Any] = _compiled(name)[0]["$defs"][part]
    return found


@cache
def _compiled(name: str) -> tuple[dict[str, Any], Any]:
    import jsonschema_rs  # slow to import, and not needed by every command

    schema = json.loads(text(name))
    return schema, jsonschema_rs.validator_for(schema)


def check(document: Document, name: str) -> None:
    """Validate a document. Raises InputError with all problems, each with its place."""
    validator = _compiled(name)[1]
    # If the YAML reader reported a problem at a place, a schema error at the same place only repeats it.
    places = {problem.place for problem in document.problems}
    found = set(document.problems)
    misplaced = dict(_misplaced(document))
    found.update(misplaced.values())
    for error in validator.iter_errors(document.data):
        path = _path(document.data, error.instance_path)
        if not any(path[: len(setting)] == setting for setting in misplaced):
            found.update(one for one in _explain(document, name, error) if one.place not in places)
    if found:
        raise InputError(sorted(found))


def settings() -> frozenset[str]:
    """The names of a family's settings."""
    return frozenset(_compiled("base")[0]["properties"])


def _misplaced(document: Document) -> Iterator[tuple[KeyPath, Problem]]:
    """Yield the settings at the place of a version or platform: they are indented too little or too much."""
    for path in document.keys:
        parent = path[-2] if len(path) > 1 else ""
        if parent in ("versions", "platforms") and len(path) in (2, 4) and path[-1] in settings():
            kind = str(parent).removesuffix("s")
            advice = f"indent it below a {kind}, or move it out of {parent}"
            message = f"{path[-1]!r} is a setting, not a {kind}; {advice}"
            yield path, Problem(document.place(path, key=True), message)


@cache
def _sections(name: str) -> Mapping[str, Sequence[str]]:
    """Map each key to the sections of a file in which it is a setting; "" is the top level."""
    schema = _compiled(name)[0]
    found: dict[str, list[str]] = {}
    for section, part in {"": schema, **schema["properties"], **schema["$defs"]}.items():
        for inner in (part, part.get("items"), part.get("additionalProperties")):
            for key in inner.get("properties", ()) if isinstance(inner, dict) else ():
                shown = {"version": "versions"}.get(section, section)
                found[key] = list(dict.fromkeys([*found.get(key, []), shown]))
    return found


def _home(key: str, own: str) -> str:
    """Return a hint at the section or file that an unknown key belongs to."""
    sections = _sections(own).get(key, ())
    if "" in sections:
        return "; it belongs at the top level of the file"
    if sections:
        return f"; it belongs under {' or '.join(sections)}"
    if "" in _sections("catalog" if own == "base" else "base").get(key, ()):
        return f"; it belongs in {'a base.yaml' if own == 'catalog' else 'bases/catalog.yaml'}"
    return ""


def _explain(document: Document, name: str, error: Any) -> Iterator[Problem]:
    path = _path(document.data, error.instance_path)
    schema, keyword = _compiled(name)[0], error.kind.name
    at = _subschema(schema, error)
    if keyword == "additionalProperties":
        known = sorted(at.get("properties", {}))
        for key in error.kind.unexpected:
            is_plural = any(key.rstrip("s") == one.rstrip("s") for one in known)  # `label`, `platform`
            home = "" if is_plural else _home(key, name)
            hint = home or nearest(key, known) or f"; known keys are {listing(known)}"
            yield Problem(document.place((*path, key), key=True), f"unknown key {key!r}{hint}")
    elif keyword == "required":
        yield Problem(document.place(path), f"key {error.kind.property!r} is missing")
    elif keyword == "propertyNames":
        wrong = error.kind.error
        place = document.place((*path, wrong.instance), key=True)
        yield Problem(place, f"{wrong.instance!r} is not {_subschema(schema, wrong)['x-expected']}")
    else:
        yield Problem(document.place(path), _value_message(document, path, at, error))


def _path(data: Any, steps: list[str | int]) -> KeyPath:
    """Convert the validator's path, in which keys that look like an index ("17") are integers."""
    path: list[str | int] = []
    for step in steps:
        if isinstance(data, dict) and isinstance(step, int):
            step = _key(data, step)  # noqa: PLW2901
        path.append(step)
        data = data[step]
    return tuple(path)


def _key(data: dict[str, Any], index: int) -> str:
    """Find the key that the validator turned into an index; prefers "17" over "017"."""
    exact = str(index)
    return exact if exact in data else next(key for key in data if re.fullmatch(rf"\+?0*{index}", key))


def _value_message(document: Document, path: KeyPath, at: dict[str, Any], error: Any) -> str:
    expected = at.get("x-expected") or _expected(at)
    if path in document.numbers and error.kind.name == "type" and "string" in error.kind.types:
        written = document.numbers[path]
        kind = "float" if isinstance(error.instance, float) else "integer"
        return f'{written} is a YAML {kind}; expected {expected}: write "{written}" with quotes'
    if error.kind.name == "anyOf":
        return f"expected {at['x-any']}"
    # The value of a key whose lines are not indented.
    is_empty = path and error.instance is None and ("mapping" in expected or "list" in expected)
    hint = "; indent the lines that belong to it" if is_empty else ""
    return f"expected {expected}, found {_found(error.instance)}{hint}"


def _expected(at: dict[str, Any]) -> str:
    kinds = at.get("type", [])
    words = " or ".join(_TYPES[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))
    if "minimum" in at and "maximum" in at:
        return f"{words} from {at['minimum']} to {at['maximum']}"
    if "minimum" in at:
        return f"{words}, at least {at['minimum']}"
    return words or "something else"


def _found(value: Any) -> str:
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else f"{value[:57]}...")
    if value is None:
        return "nothing"
    if isinstance(value, (list, dict)):
        return _NAMES[type(value)] if value else f"an empty {_NAMES[type(value)].split()[-1]}"
    return json.dumps(value)


def _subschema(schema: dict[str, Any], error: Any) -> dict[str, Any]:
    """Find the subschema that an error comes from; the error's path already goes through `$defs`."""
    at: Any = schema
    for step in list(error.schema_path)[:-1]:
        at = at[step]
    return dict(at)
