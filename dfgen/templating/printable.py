"""What may be printed into text, and how it is written."""

from __future__ import annotations

import json

from jinja2.runtime import Undefined

from dfgen.templating.marks import Json, Word, plain


class UnprintableError(ValueError):
    """A value that has no text: null, a list, a mapping, a function."""


_NO_TEXT = (
    (type(None), "it is null; give it a value, or print it with | default('…', true)"),
    ((list, tuple, set, frozenset), "it is a list; print it with | join(' '), or with | tojson"),
    (dict, "it is a mapping; print one of its items, or print it with | tojson"),
)


def as_text(value: object) -> str:
    """Write a value as Jinja does, but refuse what nobody wants in a file: None, `['a']`, `<function …>`."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float | Undefined):
        return str(value)
    for kinds, advice in _NO_TEXT:
        if isinstance(value, kinds):
            raise UnprintableError(advice)
    if hasattr(value, "__dockerfile__"):
        return str(value.__dockerfile__())
    if type(value).__str__ is object.__str__:
        raise UnprintableError(
            f"a {type(value).__name__} has no text of its own; print one of its attributes"
        )
    return str(value)


def as_json(value: object, indent: int | None = None) -> Json:
    """The `tojson` filter: keys sorted, nothing escaped for HTML."""
    return Json(json.dumps(plain(value), ensure_ascii=False, sort_keys=True, indent=indent))


def as_word(value: object) -> Word:
    """The `quote` filter: the whole value is one shell word."""
    return Word(as_text(plain(value)))
