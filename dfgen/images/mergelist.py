"""A list of merges: what `dfgen merge --from FILE` reads, a tag and its children on each line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from dfgen.errors import Gathering, InputError, Place, Problem
from dfgen.oci.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One merge: the tag, the images and indexes that it binds, and the line that says so."""

    target: Reference
    children: tuple[Reference, ...]
    place: Place | None = None


def read_list(source: Path | TextIO) -> tuple[Entry, ...]:
    """Read a file, or what comes in. Errors: InputError also for what cannot be read."""
    file = str(source) if isinstance(source, Path) else "standard input"
    try:
        text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source.read()
    except OSError as error:
        raise InputError(Problem(Place(file), f"cannot be read: {error.strerror}")) from error
    except UnicodeDecodeError as error:
        raise InputError(Problem(Place(file), "not UTF-8; expected text")) from error
    return parse_list(text, file)


def parse_list(text: str, file: str) -> tuple[Entry, ...]:
    """Read lines of `NAME:TAG CHILD...`; what follows a `#` and empty lines are left out.

    Errors: InputError with the problems of all lines. No line may need the result of another: all are merged
    at once.
    """
    gathering = Gathering()
    entries: list[Entry] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            with gathering.at(Place(file, number)):
                entries.append(_entry(words, Place(file, number)))
    firsts: dict[Reference, Entry] = {}
    for entry in entries:
        firsts.setdefault(entry.target, entry)
    for entry in entries:
        with gathering.step():
            _check_alone(entry, firsts)
    gathering.check()
    if not entries:
        raise InputError(Problem(Place(file), "names no merge; expected lines of NAME:TAG CHILD..."))
    return tuple(entries)


def _entry(words: Sequence[str], place: Place) -> Entry:
    if len(words) < 2:
        raise InputError(f"{words[0]} has no children; expected NAME:TAG CHILD...")
    target, *children = [Reference.parse(word) for word in words]
    return Entry(target=target, children=tuple(children), place=place)


def _check_alone(entry: Entry, firsts: Mapping[Reference, Entry]) -> None:
    """Refuse what needs the result of another line; `firsts` has the first line of each target."""
    first = firsts[entry.target]
    if first is not entry:
        raise _wrong(entry, f"{entry.target} is merged on line {_line(first)} already; name it once")
    for child in entry.children:
        if firsts.get(child, entry) is not entry:
            made = f"{child} is itself merged on line {_line(firsts[child])}"
            raise _wrong(entry, f"{made}; name the images that it binds")


def _line(entry: Entry) -> int:
    return entry.place.line if entry.place else 0


def _wrong(entry: Entry, message: str) -> InputError:
    return InputError(Problem(entry.place, message))
