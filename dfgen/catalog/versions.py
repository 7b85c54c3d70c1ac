"""The order of versions, and when text equals a number: for conditions of the catalog and for templates."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

_VERSION = re.compile(r"[vV]?[0-9]+(?:[-._+~:]?[0-9A-Za-z]+)*")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PARTS = re.compile(r"[0-9]+|[A-Za-z]+|~")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
# Words before the release of the same number: 1.0-rc1 < 1.0 < 1.0-1. Any other word is a revision of it.
_BEFORE = {"dev": 0, "snapshot": 1, "nightly": 1, "alpha": 2, "a": 2, "beta": 3, "b": 3, "m": 4}
_BEFORE |= {"milestone": 4, "ea": 5, "pre": 5, "preview": 5, "c": 6, "cr": 6, "rc": 6, "~": 0}
_END = (1, 0, "")
SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def looks_like_version(text: str) -> bool:
    """Whether a text is read as a version; an ISO date sorts correctly as text and is not one."""
    return _VERSION.fullmatch(text) is not None and _DATE.fullmatch(text) is None


@lru_cache(maxsize=1024)
def version_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that orders versions: numbers by value, `1.0-rc1` before `1.0`, `1.0-r1` after it."""
    parts = _PARTS.findall(text.lstrip("vV"))
    return (*(_part(part) for part in parts), _END)


def _part(part: str) -> tuple[int, int, str]:
    if part.isdigit():
        return 3, int(part), ""
    word = part.lower()
    return (0, _BEFORE[word], "") if word in _BEFORE else (2, 0, word)


class Version(str):
    """Text that orders as a version: the variable `version`, and the result of the filter `as_version`."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        """Compare the spelling, also with that of a whole number: `version == 1`."""
        return is_spelled(self, other)

    def __ne__(self, other: object) -> bool:
        """Override `str.__ne__`, which would not accept numbers."""
        return not self == other

    __hash__ = str.__hash__

    def __lt__(self, other: object) -> bool:
        """Whether it is older."""
        return ordered(self, other, "<")

    def __le__(self, other: object) -> bool:
        """Whether it is older or the same."""
        return ordered(self, other, "<=")

    def __gt__(self, other: object) -> bool:
        """Whether it is newer."""
        return ordered(self, other, ">")

    def __ge__(self, other: object) -> bool:
        """Whether it is newer or the same."""
        return ordered(self, other, ">=")

    def lower(self) -> Version:
        """Stay a version in `sort`, `min` and `max`, which ignore case."""
        return Version(str.lower(self))


def ordered(left: str, right: object, sign: str) -> bool:
    """Compare two versions; texts that are not versions, such as code names, compare as text."""
    if isinstance(right, float):
        raise ValueError(_number(left, right))
    text = str(right) if isinstance(right, int) and not isinstance(right, bool) else right
    if not isinstance(text, str):
        raise TypeError(f"'{sign}' cannot compare the version '{left!s}' with {right!r}")
    are_versions = {_VERSION.fullmatch(one) is not None for one in (left, text)}
    if are_versions == {True}:
        return SIGNS[sign](version_key(str(left)), version_key(str(text)))
    if are_versions == {False}:
        return SIGNS[sign](str(left), str(text))
    raise ValueError(f"'{left!s}' {sign} '{text!s}' compares a version with text that is not a version")


def is_spelled(text: str, other: object) -> bool:
    """Whether two values are spelled the same, text or whole numbers. Raises ValueError for a float."""
    if isinstance(other, float) and _NUMBER.fullmatch(text):
        raise ValueError(_number(text, other))
    if isinstance(other, int) and not isinstance(other, bool):
        return str.__eq__(text, str(other))
    return isinstance(other, str) and str.__eq__(text, other)


def _number(text: str, other: float) -> str:
    return f"'{text!s}' is text and {other} is a number, of which 1.10 would be 1.1; write it with quotes"
