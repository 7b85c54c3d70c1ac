"""Values in exec form: JSON arrays of CMD, ENTRYPOINT, RUN, SHELL, VOLUME, COPY, ADD and HEALTHCHECK."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from dfgen.dockerfile.parser import NotStringsError, exec_form
from dfgen.templating.holes import HOLE, Hole, RefusedError, Spot, strict
from dfgen.templating.marks import JSON
from dfgen.templating.shell import word

_TOKEN = re.compile(f'\\\\.|"|{HOLE}', re.DOTALL)
_ESCAPED_ANYWAY = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_LEXED = frozenset(("ADD", "COPY", "VOLUME"))  # BuildKit resolves quotes and variables in their strings
_CODE_OPTION = re.compile(r"-[A-Za-z]*c")
EXEC_STYLES = frozenset(("string", "value", "code"))
_WHY = "which is not safe in code for a shell; make it an argument of its own, or print it with | quote"


def _in_strings(arguments: str) -> Iterator[bool]:
    """For every hole whether it is within a JSON string."""
    inside = False
    for found in _TOKEN.finditer(arguments):
        if found[0] == HOLE:
            yield inside
        elif found[0] == '"':
            inside = not inside
        elif found[0][-1] == HOLE:
            yield inside


def _candidate(arguments: str, holes: Sequence[Hole], inside: Sequence[bool]) -> str:
    """The arguments with JSON values outside of strings filled in."""
    pieces = arguments.split(HOLE)
    for at, (hole, within) in enumerate(zip(holes, inside, strict=True)):
        pieces[at] += hole.value if hole.kind == JSON and not within else HOLE
    return "".join(pieces)


def read_exec(arguments: str, holes: Sequence[Hole]) -> list[Spot] | None:
    """The spots of all holes if the arguments are an exec form, else None."""
    inside = list(_in_strings(arguments))
    candidate = _candidate(arguments, holes, inside)
    if not candidate.startswith("["):
        return None
    try:
        array = exec_form(candidate)
    except NotStringsError:
        array = ()
    if array is None:
        return None
    strings = iter(_string_spots(array))
    return [next(strings, Spot("string")) if within else Spot("value") for within in inside]


def _string_spots(array: Sequence[str]) -> Iterator[Spot]:
    """A spot for every hole within the strings; `code` after an option such as `-c`."""
    for at, item in enumerate(array):
        code = at > 0 and _CODE_OPTION.fullmatch(array[at - 1])
        for _ in range(item.count(HOLE)):
            yield Spot("code" if code else "string")


def _lexed(keyword: str, escape: str, text: str) -> str:
    """Escape what BuildKit's lexer would resolve."""
    if keyword not in _LEXED:
        return text
    return re.sub(f"([$'\"{re.escape(escape)}])", rf"{re.escape(escape)}\1", text)


def _inside(text: str) -> str:
    """The inside of a JSON string; what cannot be seen is written as an escape."""
    if "\0" in text:
        raise RefusedError("it holds the character U+0000, which no program can be given; take it out")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise RefusedError("it holds half of a surrogate pair; take it out of the value")
    written = json.dumps(text, ensure_ascii=False)[1:-1]
    return _ESCAPED_ANYWAY.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def _value(keyword: str, escape: str, hole: Hole) -> str:
    """A JSON value outside of strings: a string, or a list of strings."""
    found = json.loads(hole.value)
    items = found if isinstance(found, list) else [found]
    if not all(isinstance(item, str) for item in items):
        raise RefusedError(
            "it is JSON, but not strings; an exec form holds strings only, so quote the others"
        )
    written = ", ".join(f'"{_inside(_lexed(keyword, escape, item))}"' for item in items)
    return f"[{written}]" if isinstance(found, list) else written


def write_exec(keyword: str, spot: Spot, hole: Hole, escape: str) -> str:
    """Write a value for a spot of `read_exec`."""
    if spot.style == "value":
        return _value(keyword, escape, hole)
    if spot.style == "code":
        return _inside(word(hole.text) if hole.is_word else strict(hole.text, _WHY))
    return _inside(_lexed(keyword, escape, hole.text))
