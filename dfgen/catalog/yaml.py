"""Read YAML into plain values with the place of each, and report all problems of a file at once.

This module builds values from libyaml's events instead of using a YAML loader. A loader keeps no positions,
stops at the first problem, and silently changes version numbers (1.10 becomes 1.1), of which a catalog has
many. Values follow the core schema of YAML 1.2. It rejects numbers and booleans that would not be preserved,
and the booleans of YAML 1.1 (`no`, `on`).

https://yaml.org/spec/1.2.2/#103-core-schema
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfgen.catalog import reading
from dfgen.errors import InputError, Place, Problem, counted

KeyPath = tuple[str | int, ...]

_MAX_DEPTH = 64  # well below Python's recursion limit
_MAX_NUMBER = 64  # characters; a longer number is text that needs quotes
_MAX_EXPANSION = 100_000  # values that aliases may expand to: protects against a "billion laughs" file
_MAX_VALUES = 500_000  # in one file: about 300 MB of positions; 2,000 versions have some 20,000 values
_NULLS = {"", "~", "null", "Null", "NULL"}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
# Booleans of YAML 1.1, which many people expect and many tools read: https://yaml.org/type/bool.html
_OLD_BOOLEANS = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_BY_INDENT = re.compile("did not find expected (?:key|'-' indicator)|mapping values are not allowed")
_BRACES = re.compile(r"\{\{(?!\{)")
_COMMENT = re.compile(r"\s#.*")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)


@dataclass(frozen=True, slots=True)
class Document:
    """The values of a file, and the places of its keys and values.

    `data` consists of None, bool, int, float, str, list and dict. A path is the sequence of keys and indexes
    that leads to a value; `values` and `keys` map paths to (line, column), `numbers` maps paths to the
    original text of numbers. `problems` did not prevent reading the file; the schema check reports them
    together with its own.
    """

    file: str
    data: Any
    values: dict[KeyPath, tuple[int, int]] = field(repr=False)
    keys: dict[KeyPath, tuple[int, int]] = field(repr=False)
    numbers: dict[KeyPath, str] = field(repr=False)
    problems: tuple[Problem, ...] = ()

    def place(self, path: KeyPath = (), *, key: bool = False) -> Place:
        """The place of a value, or of its key; for a value below an alias, the place of the alias."""
        found = (self.keys.get(path) if key else None) or self.values.get(path)
        while found is None and path:
            path = path[:-1]
            found = self.values.get(path)
        return Place(self.file, *(found or (1, 1)))


def read(root: Path, path: str) -> Document:
    """Read a YAML file of the catalog in `root`. Raises InputError if it is not valid YAML."""
    return parse(reading.read_text(root, path), path)


def parse(text: str, file: str) -> Document:
    """Parse YAML text; messages call it `file`. Raises InputError if it is not valid YAML."""
    return _Reader(file).document(text)


class _TooLargeError(ValueError):
    """The file exceeds a limit."""


class _Reader:
    """One pass over libyaml's events."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: list[str] = []
        self.problems: list[Problem] = []
        self.values: dict[KeyPath, tuple[int, int]] = {}
        self.keys: dict[KeyPath, tuple[int, int]] = {}
        self.numbers: dict[KeyPath, str] = {}
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.count = 0
        self.mark = (0, 0)

    def document(self, text: str) -> Document:
        """Read a whole text. Raises InputError for invalid YAML; the document keeps other problems."""
        from yaml.cyaml import CBaseLoader
        from yaml.error import MarkedYAMLError, YAMLError

        self.lines = text.splitlines()
        try:
            data = self._root(_events(CBaseLoader(text)))
        except MarkedYAMLError as error:
            self._conflict()
            mark = error.problem_mark or error.context_mark
            at = (mark.line, mark.column) if mark else (0, 0)
            # The rest of a line with unquoted braces is invalid, too.
            if at[0] + 1 not in {problem.place.line for problem in self.problems if problem.place}:
                self._problem(*_invalid(error.problem or "", at, self.lines))
            raise InputError(self.problems) from error
        except _TooLargeError as error:
            self._problem(self.mark, f"invalid YAML: {error}")
            raise InputError(self.problems) from error
        except (YAMLError, ValueError) as error:
            self.problems.append(Problem(Place(self.file), f"invalid YAML: {str(error).splitlines()[0]}"))
            raise InputError(self.problems) from error
        return Document(self.file, data, self.values, self.keys, self.numbers, tuple(self.problems))

    def _conflict(self) -> None:
        """Raises InputError if there are conflict markers, since they cause all other problems."""
        found = next((at for at, line in enumerate(self.lines) if line.startswith("<<<<<<< ")), None)
        if found is not None:
            self._problem((found, 0), "invalid YAML: a merge conflict starts here; keep one side")
            raise InputError(self.problems)

    def _problem(self, mark: tuple[int, int], message: str) -> None:
        self.problems.append(Problem(Place(self.file, mark[0] + 1, mark[1] + 1), message))

    def _root(self, events: Iterator[Any]) -> Any:
        data: Any = None
        documents = 0
        for event in events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    self._problem(_mark(event), "a second document starts here; expected one per file")
                    return data
            elif kind not in ("StreamStartEvent", "StreamEndEvent", "DocumentEndEvent"):
                data = self._value(event, events, ())
        return data

    def _value(self, event: Any, events: Iterator[Any], path: KeyPath) -> Any:
        mark = self.mark = _mark(event)
        self.values[path] = (mark[0] + 1, mark[1] + 1)
        self.count += 1
        before = self.count
        kind = type(event).__name__
        if len(self.values) > _MAX_VALUES:
            raise _TooLargeError(f"more than {_MAX_VALUES:,} values; divide the family")
        if kind == "AliasEvent":
            return self._alias(event, mark)
        if len(path) > _MAX_DEPTH:
            raise _TooLargeError(f"nested deeper than {_MAX_DEPTH} levels")
        if kind == "MappingStartEvent" and _BRACES.match(self._line(mark)):
            return self._braces(events, mark)
        if event.tag and kind != "ScalarEvent":
            self._problem(mark, f"tag {event.tag} is not supported; write the value without a tag")
        if kind == "ScalarEvent":
            value: Any = self._scalar(event, path, mark)
        elif kind == "SequenceStartEvent":
            value = self._sequence(events, path)
        else:
            value = self._mapping(events, path)
        if event.anchor:
            self.anchors[event.anchor] = (value, self.count - before + 1)
        return value

    def _line(self, mark: tuple[int, int]) -> str:
        """The rest of a line."""
        return self.lines[mark[0]][mark[1] :] if mark[0] < len(self.lines) else ""

    def _braces(self, events: Iterator[Any], mark: tuple[int, int]) -> str:
        """Report `{{ … }}` without quotes, which YAML reads as two mappings, and skip both."""
        text = _COMMENT.sub("", self._line(mark)).rstrip()
        if text.count("]") > text.count("["):  # an item of [ ]
            text = re.split(r"[,\]]", text)[0].rstrip()
        depth = 1
        self._problem(mark, f"YAML reads {{{{ as a mapping; quote the whole text: {_quoted(text)}")
        while depth:
            kind = type(next(events)).__name__
            depth += kind in ("MappingStartEvent", "SequenceStartEvent")
            depth -= kind in ("MappingEndEvent", "SequenceEndEvent")
        return text

    def _alias(self, event: Any, mark: tuple[int, int]) -> Any:
        if event.anchor not in self.anchors:
            self._problem(mark, f"alias *{event.anchor} has no anchor &{event.anchor} above it")
            return None
        value, size = self.anchors[event.anchor]
        # The value is shared, not copied, but validation and expansion visit it again for each alias.
        self.count += size
        if self.count > _MAX_EXPANSION + len(self.values):
            raise _TooLargeError(f"aliases expand to more than {_MAX_EXPANSION:,} values")
        return value

    def _scalar(self, event: Any, path: KeyPath, mark: tuple[int, int]) -> Any:
        text: str = event.value
        self._check_items(event, mark)
        if event.tag and event.tag != "tag:yaml.org,2002:str":
            self._problem(mark, f"tag {event.tag} is not supported; write the value without a tag")
        if event.tag or not event.implicit[0]:
            return text
        if text in _NULLS:
            return None
        if text in _BOOLEANS:
            self._check_boolean(text, text.lower(), mark)
            return _BOOLEANS[text]
        if text.lower() in _OLD_BOOLEANS and text in (text.lower(), text.upper(), text.capitalize()):
            self._check_boolean(text, _OLD_BOOLEANS[text.lower()], mark)
        if _INTEGER.fullmatch(text) or _FLOAT.fullmatch(text):
            return self._number(text, path, mark)
        return text

    def _check_items(self, event: Any, mark: tuple[int, int]) -> None:
        """Report an item of a list that is indented too far: YAML appends it to the text above."""
        if not event.implicit[0] or event.end_mark.line == mark[0]:
            return
        for at in range(mark[0] + 1, min(event.end_mark.line + 1, len(self.lines))):
            line = self.lines[at]
            if line.lstrip(" ").startswith("- ") and not event.style:
                column = len(line) - len(line.lstrip(" "))
                message = "this item continues the text above it; align its '-' with the other items"
                self._problem((at, column), message)
                return

    def _check_boolean(self, text: str, meaning: str, mark: tuple[int, int]) -> None:
        """Report a boolean that a template would print in another way, or that YAML 1.2 reads as text."""
        if text != meaning:
            kind = "YAML boolean" if text in _BOOLEANS else "boolean in YAML 1.1, but text in YAML 1.2"
            self._problem(mark, f'{text} is a {kind}; write {meaning}, or "{text}" with quotes')

    def _number(self, text: str, path: KeyPath, mark: tuple[int, int]) -> float:
        self.numbers[path] = text
        if len(text) > _MAX_NUMBER:
            self._problem(mark, f"number with {len(text)} characters; write it with quotes")
            return 0
        value = _integer(text) if _INTEGER.fullmatch(text) else _float(text)
        if _is_lossy(text, value):
            kind = "integer" if isinstance(value, int) else "float"
            became = f"is a YAML {kind} and would become {value!r}"
            self._problem(mark, f'{text} {became}; write "{text}" with quotes')
        return value

    def _sequence(self, events: Iterator[Any], path: KeyPath) -> list[Any]:
        items: list[Any] = []
        for event in events:
            if type(event).__name__ == "SequenceEndEvent":
                break
            items.append(self._value(event, events, (*path, len(items))))
        return items

    def _mapping(self, events: Iterator[Any], path: KeyPath) -> dict[str, Any]:
        items: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        for event in events:
            if type(event).__name__ == "MappingEndEvent":
                break
            mark = _mark(event)
            key = self._key(event, events, path)
            place = (*path, key)
            value = self._value(next(events), events, place)
            if key == "<<" and not event.tag and event.implicit[0]:
                merged.extend(self._merge(value, mark))
                continue
            if key in items:
                self._problem(mark, f"duplicate key {key!r} (first on line {self.keys[place][0]})")
            self.keys.setdefault(place, (mark[0] + 1, mark[1] + 1))
            items[key] = value
        # The mapping's own keys win over merged ones, and earlier merged mappings over later ones.
        for more in merged:
            items = {**more, **items}
        return items

    def _key(self, event: Any, events: Iterator[Any], path: KeyPath) -> str:
        mark = _mark(event)
        if type(event).__name__ != "ScalarEvent":
            self._problem(mark, "a key is a list, a mapping or an alias; expected text")
            if type(event).__name__ != "AliasEvent":
                self._value(event, events, (*path, "?"))
            return "?"
        text = str(event.value)
        plain = not event.tag and event.implicit[0]
        if plain and (_INTEGER.fullmatch(text) or _FLOAT.fullmatch(text)):
            kind = "integer" if _INTEGER.fullmatch(text) else "float"
            self._problem(mark, f'key {text} is a YAML {kind}; expected text: write "{text}" with quotes')
        elif plain and (text in _NULLS or text in _BOOLEANS):
            self._problem(mark, f'key {text or "(nothing)"} is not text; write "{text}" with quotes')
        return text

    def _merge(self, value: Any, mark: tuple[int, int]) -> list[dict[str, Any]]:
        values = value if isinstance(value, list) else [value]
        if all(isinstance(one, dict) for one in values):
            return values
        self._problem(mark, "<< can only merge mappings")
        return []


def _invalid(problem: str, at: tuple[int, int], lines: Sequence[str]) -> tuple[tuple[int, int], str]:
    """Return the position and the message for an error that libyaml found at a position."""
    line = lines[at[0]] if at[0] < len(lines) else ""
    first = next((one for one in lines if one.strip() and not one.lstrip().startswith("#")), "")
    if "<document start>" in problem and first.startswith(" "):
        return (
            lines.index(first),
            0,
        ), "invalid YAML: the first line is indented, but others are not; align them"
    indent, expected = len(line) - len(line.lstrip(" ")), _indents(lines[: at[0]])
    if expected and indent not in expected and _BY_INDENT.search(problem):
        spaces = counted(indent, "space")
        return (
            at[0],
            indent,
        ), f"invalid YAML: indented by {spaces}, expected {' or '.join(map(str, expected))}"
    return at, f"invalid YAML: {_reworded(problem, line[: at[1] + 1])}"


def _reworded(problem: str, before: str) -> str:
    """Say what to do about an error of libyaml; `before` is the line up to and with its column."""
    if "nesting depth" in problem:  # in { and [, libyaml reads ahead before the first event
        return f"{problem}; nest at most {_MAX_DEPTH} levels"
    if "found a tab character" in problem or ("cannot start any token" in problem and before.endswith("\t")):
        return "a tab cannot indent a line; use spaces"
    if "cannot start any token" in problem:
        return f"a text cannot begin with {before[-1:]!r}; write it with quotes"
    if "mapping values are not allowed" in problem:
        return "a second ': ' in the line; quote the text that contains it"
    if "did not find expected key" in problem:
        return f"{problem}; check the quotes and brackets of this line and of the one above"
    return problem


def _indents(above: Sequence[str]) -> list[int]:
    """Return the indents that a line can have below other lines, of which a list item has two."""
    found: set[int] = set()
    for line in reversed([line for line in above if line.strip() and not line.lstrip().startswith("#")]):
        text = line.lstrip(" ")
        indent = len(line) - len(text)
        if found and indent >= min(found):
            continue
        found.add(indent)
        while text.startswith("- "):
            text = text[1:].lstrip(" ")
            found.add(len(line) - len(text))
    return sorted(found)


def _quoted(text: str) -> str:
    """Write a text in the quotes that it does not contain."""
    quote = "'" if '"' in text else '"'
    return f"{quote}{text}{quote}"


def _is_lossy(text: str, value: float) -> bool:
    """Whether formatting a number does not reproduce its text, for example 1.10, 010 or 1e3."""
    return repr(value) != text


def _integer(text: str) -> int:
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _mark(event: Any) -> tuple[int, int]:
    mark = event.start_mark
    return mark.line, mark.column


def _events(parser: Any) -> Iterator[Any]:
    while parser.check_event():
        yield parser.get_event()
