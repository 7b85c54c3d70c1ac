"""Print values: text and numbers as they are, and no object that has no text of its own.

Every way of printing is covered: `{{ }}`, `%`, `format`, and the filters that turn their input into text. The
text of other objects would contain addresses in memory, which differ from run to run.
"""

from __future__ import annotations

from typing import Any

from jinja2.runtime import Undefined
from jinja2.sandbox import SandboxedFormatter

from dfgen.templating.limits import METER, check_format, measured


class UnprintableError(ValueError):
    """A value cannot be converted to text: null, a list, a mapping, a function."""


_NO_TEXT = (
    (type(None), "it is null; set a value, or print it with | default('…', true)"),
    ((list, tuple, set, frozenset), "it is a list; print it with | join(' ') or | tojson"),
    (dict, "it is a mapping; print one of its items, or print it with | tojson"),
    ((bytes, bytearray), "it is bytes; print the text that they encode"),
)


def as_text(value: object) -> str:
    """Convert a value to text as Jinja does. Raises UnprintableError for `None`, `['a']`, `<function …>`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"  # as in the catalog
    if isinstance(value, int | float | Undefined):
        return str(value)
    for kinds, advice in _NO_TEXT:
        if isinstance(value, kinds):
            raise UnprintableError(advice)
    if hasattr(value, "__dockerfile__"):
        return str(value.__dockerfile__())
    if type(value).__str__ is object.__str__:
        raise UnprintableError(
            f"a {type(value).__name__} cannot be converted to text; print one of its attributes"
        )
    return str(value)


class _Flag(int):
    """A boolean in an operand of `%`, which formats it with str."""

    def __repr__(self) -> str:
        return as_text(bool(self))

    __str__ = __repr__


class _Unprintable:
    """An operand of `%` that has no text; the error is raised only if the format uses it."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __repr__(self) -> str:
        return as_text(self._value)

    __str__ = __repr__


def format_operand(value: object) -> object:
    """Prepare what `%` formats, so that it prints each value as `{{ }}` does, or refuses it."""
    if isinstance(value, dict):
        return {key: _format_item(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_format_item, value))
    return _format_item(value)


def _format_item(value: object) -> object:
    if isinstance(value, bool):
        return _Flag(value)
    return value if isinstance(value, str | int | float | Undefined) else _Unprintable(value)


class Formatter(SandboxedFormatter):
    """`'…'.format()`, which prints each value as `{{ }}` does, or refuses it."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        """Format text and numbers with their width; everything else as its text."""
        check_format(format_spec)  # it can contain another argument
        is_plain = isinstance(value, str | int | float) and not isinstance(value, bool)
        text = super().format_field(value if is_plain else as_text(value), format_spec)
        METER.spend(1 + (len(text) >> 5))
        return text

    def convert_field(self, value: Any, conversion: Any) -> Any:
        """Convert with `!r` or `!s` only what has text."""
        return super().convert_field(as_text(value) if conversion else value, conversion)


def check_data(value: object) -> None:
    """Raises UnprintableError unless a value is text, a number, or lists and mappings of such."""
    measured(value)
    _check_items(value)


def _check_items(value: object) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _check_items(key)
            _check_items(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_items(item)
    elif value is not None:
        as_text(value)


# Filters that make text of what they get, with str or repr. `replace` does so with its arguments as well.
TEXT_FILTERS = frozenset(("capitalize", "center", "e", "escape", "forceescape", "format", "indent", "lower"))
TEXT_FILTERS |= {"replace", "string", "striptags", "title", "trim", "truncate", "upper", "urlize"}
TEXT_FILTERS |= {"wordcount", "wordwrap"}
DATA_FILTERS = frozenset(("pprint", "urlencode", "xmlattr"))


def filtered(name: str, value: object) -> object:
    """Return the value that a filter gets, as the text that it would make of it."""
    if name in DATA_FILTERS:
        check_data(value)
    return as_text(value) if name in TEXT_FILTERS else value


def filter_argument(name: str, value: object) -> object:
    """Return a further argument of a filter."""
    if name == "format":
        return _format_item(value)
    is_text = name == "replace" and type(value) is not int and value is not None
    return as_text(value) if is_text else value
