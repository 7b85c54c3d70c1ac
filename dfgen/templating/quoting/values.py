"""Printed values, their positions in rendered text, and the checks that several positions share.

A rendered template is handled as a skeleton, that is, its text with a PLACEHOLDER for every printed value,
and the list of these values.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from dfgen.templating.taint import JSON, VALUE, WORD

# A sentinel of `taint`, which neither a template nor a value can contain.
PLACEHOLDER = VALUE

NAME = re.compile(r"[A-Za-z0-9_]+")
# Accepted where text is read twice or by an unknown reader: nothing here is special to any shell or
# interpreter. `~` is missing because shells expand it, `^` because old shells read it as a pipe.
STRICT = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
# Not special to BuildKit's lexer, so that it needs no quotes.
SAFE = re.compile(r"[A-Za-z0-9_@%+=:,./~^-]+")
# SAFE, and no flag: it cannot change how the text around it is read, which makes later checks unnecessary.
HARMLESS = re.compile(r"(?!-)[A-Za-z0-9_@%+=:,./~^-]+")

# Control characters, and those that break or reorder lines on a screen: a reviewer would see something other
# than what BuildKit reads ("Trojan Source", CVE-2021-42574). Surrogates cannot be encoded as UTF-8.
_INVISIBLE = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROL = re.compile(f"[{_INVISIBLE}]")
_VARIABLE_AT_END = re.compile(r"\$\w+$")
_MESSAGE_LENGTH = 60  # characters of a value in a message
_LOOK_BEHIND = 80  # characters before a value, searched for a variable's name or the start of a command


class UnsafeValueError(ValueError):
    """A value cannot be written at its position; the text says why and what to do."""


class PrintedValue(NamedTuple):
    """A value that a template printed: its kind (a sentinel), the character of its site, and its text."""

    kind: str
    site: str
    raw: str

    @property
    def text(self) -> str:
        """The value as text; a JSON string is decoded, other JSON stays as it is."""
        if self.kind != JSON:
            return self.raw
        decoded = json.loads(self.raw)
        return decoded if isinstance(decoded, str) else self.raw

    @property
    def is_word(self) -> bool:
        """Whether the template requested a single shell word, with the `quote` filter."""
        return self.kind == WORD


class Position(NamedTuple):
    """The position of a value: the lexer's `state` there, and the text around it.

    `before` and `after` are the adjacent characters, "" at an end of the text. `leading` is the end of the
    text before the value, without placeholders. `follows_variable` if that ends with `$NAME`. `is_first` if
    only blanks precede the value.
    """

    state: str
    before: str = ""
    after: str = ""
    leading: str = ""
    follows_variable: bool = False
    is_first: bool = True

    def extends_variable(self, text: str) -> bool:
        """Whether the text would become part of a variable's name before it: `$A` and `B` make `$AB`."""
        return self.follows_variable and (text[:1].isalnum() or text[:1] == "_")


def position_at(state: str, text: str, at: int) -> Position:
    """Describe the placeholder at an index of a text."""
    leading = text[max(0, at - _LOOK_BEHIND) : at].replace(PLACEHOLDER, "")
    follows_variable = _VARIABLE_AT_END.search(leading) is not None
    is_first = not text[:at].strip()
    before, after = text[at - 1 : at] if at else "", text[at + 1 : at + 2]
    return Position(state, before, after, leading, follows_variable, is_first)


def abbreviated(value: str) -> str:
    """Return a value for a message: escaped and at most 60 characters long."""
    text = repr(value)
    return text if len(text) <= _MESSAGE_LENGTH else f"{text[: _MESSAGE_LENGTH - 2]}…{text[-1]}"


def one_line(text: str) -> str:
    """Return the text. Raises UnsafeValueError for line breaks and invisible characters."""
    if "\n" in text:
        raise UnsafeValueError("it contains a line break; remove it from the value")
    return visible(text)


def visible(text: str) -> str:
    """Return the text. Raises UnsafeValueError for control characters and those that reorder text."""
    if found := _CONTROL.search(text):
        character = f"U+{ord(found[0]):04X}"
        raise UnsafeValueError(f"it contains the control character {character}; remove it from the value")
    return text


def only(allowed: re.Pattern[str], text: str, advice: str, part: bool = False) -> str:
    """Return the text. Raises UnsafeValueError, with the advice, if it contains other characters.

    Empty text is only accepted as `part` of a longer word.
    """
    if not text and not part:
        raise UnsafeValueError(f"it is empty; {advice}")
    if one_line(text) and not allowed.fullmatch(text):
        wrong = next(char for char in text if not allowed.fullmatch(char))
        raise UnsafeValueError(f"it contains {wrong!r}; {advice}")
    return text


def name(text: str) -> str:
    """Return a part of a variable's name. Raises UnsafeValueError for anything else."""
    only(NAME, text, "a variable's name may only contain letters, digits and _")
    if text[0].isdigit() and not text.isdigit():
        raise UnsafeValueError("it starts with a digit; a variable's name starts with a letter or _")
    return text


def strict(text: str, why: str) -> str:
    """Return text for a position that no quoting makes safe. Raises UnsafeValueError unless it is STRICT."""
    if one_line(text) and not STRICT.fullmatch(text):
        wrong = next(char for char in text if not STRICT.fullmatch(char))
        raise UnsafeValueError(f"it contains {wrong!r}, {why}")
    return text
