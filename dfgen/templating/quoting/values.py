"""Holes: the places in rendered text where a value goes, and what every place asks of a value."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from dfgen.templating.marks import JSON, VALUE, WORD

HOLE = VALUE  # stands for a value in a text from which the values were taken out
NAME = re.compile(r"[A-Za-z0-9_]+")
STRICT = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
# Nothing that any lexer here takes for itself.
SAFE = re.compile(r"[A-Za-z0-9_@%+=:,./~^-]+")
HARMLESS = re.compile(r"(?!-)[A-Za-z0-9_@%+=:,./~^-]+")  # changes nothing around it

_UNSEEN = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROL = re.compile(f"[{_UNSEEN}]")
_OPEN_VARIABLE = re.compile(r"\$\w+$")
_SHOWN = 60
_REACH = 80  # how far back a variable's name or a command's start is searched


class RefusedError(ValueError):
    """A value cannot stand where it is printed: why, and what to do."""


class Hole(NamedTuple):
    """A value that was printed: its kind, the character of its site, and what it is."""

    kind: str
    site: str
    value: str

    @property
    def text(self) -> str:
        """The value as text: a JSON string is decoded, other JSON is text as it is."""
        if self.kind != JSON:
            return self.value
        decoded = json.loads(self.value)
        return decoded if isinstance(decoded, str) else self.value

    @property
    def is_word(self) -> bool:
        """Whether the template asked for one shell word."""
        return self.kind == WORD


class Spot(NamedTuple):
    """Where a hole is: the state that a scan found, and what stands around it.

    `before` and `after` are single characters or nothing; `leading` is some of the text before, without the
    holes in it; `open_variable` when that ends in `$NAME`; `first` when nothing but blanks stands before.
    """

    style: str
    before: str = ""
    after: str = ""
    leading: str = ""
    open_variable: bool = False
    first: bool = True

    def extends_variable(self, text: str) -> bool:
        """Whether the value would make a variable before it another variable."""
        return self.open_variable and (text[:1].isalnum() or text[:1] == "_")


def spot_at(style: str, text: str, at: int) -> Spot:
    """Describe the hole at a position of a text."""
    leading = text[max(0, at - _REACH) : at].replace(HOLE, "")
    open_variable = _OPEN_VARIABLE.search(leading) is not None
    first = not text[:at].strip()
    return Spot(style, text[at - 1 : at] if at else "", text[at + 1 : at + 2], leading, open_variable, first)


def shown(value: str) -> str:
    """A value for a message: escaped and not too long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 2]}…{text[-1]}"


def one_line(text: str) -> str:
    """Refuse what a line of a Dockerfile cannot hold, or what a reviewer would not see."""
    if "\n" in text:
        raise RefusedError("it contains a line break; remove it from the value")
    return visible(text)


def visible(text: str) -> str:
    """Refuse control characters, and characters that reorder or break lines on the screen."""
    if found := _CONTROL.search(text):
        raise RefusedError(
            f"it contains the control character U+{ord(found[0]):04X}; remove it from the value"
        )
    return text


def only(allowed: re.Pattern[str], text: str, advice: str, part: bool = False) -> str:
    """Refuse all but text of some characters; empty text too, unless it is a `part` of something."""
    if not text and not part:
        raise RefusedError(f"it is empty; {advice}")
    if one_line(text) and not allowed.fullmatch(text):
        wrong = next(char for char in text if not allowed.fullmatch(char))
        raise RefusedError(f"it contains {wrong!r}; {advice}")
    return text


def name(text: str) -> str:
    """A part of a variable's name."""
    only(NAME, text, "a variable's name may only contain letters, digits and _")
    if text[0].isdigit() and not text.isdigit():
        raise RefusedError("it starts with a digit; a variable's name starts with a letter or _")
    return text


def strict(text: str, why: str) -> str:
    """A value in a place that is read twice, or in a way that cannot be followed."""
    if one_line(text) and not STRICT.fullmatch(text):
        wrong = next(char for char in text if not STRICT.fullmatch(char))
        raise RefusedError(f"it contains {wrong!r}, {why}")
    return text
