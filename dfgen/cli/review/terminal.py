"""A review for the terminal: what is wrong first, then what differs, then the rest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from dfgen.cli.review import text as words
from dfgen.commands.review.records import Group, Kind, Review
from dfgen.findings import Finding, Level

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_COLOURS = {Level.ERROR: "bold red", Level.WARNING: "bold yellow", Level.NOTE: "bold blue"}
_DIFF = {"+": "green", "-": "red", "@": "cyan"}
_HUNK = 40  # lines of a hunk
_ROWS = 3  # rows of a list of names
_GROUPS = 20  # changes that are shown on a terminal
_PIPED = 120  # columns that a list is cut for where there is no terminal
_LEAST = 20  # columns, however narrow the terminal is
_HANG = 4

Fold = Literal["words", "letters", "cut"]  # where it is broken, or whether its end is left out
Piece = tuple[str, str]  # text and its style


class Line(NamedTuple):
    """A line to print: how far it is indented, what is in it, and what becomes of it when it is too long."""

    indent: int
    pieces: Sequence[Piece]
    fold: Fold = "words"


def _names(found: Sequence[str], width: int, what: str = "") -> str:
    """Write as many names as fit in some rows, and how many more there are."""
    room, shown = width * _ROWS, 0
    while shown < len(found) and (not shown or room >= len(found[shown])):
        room -= len(found[shown]) + 2
        shown += 1
    left = len(found) - shown
    return ", ".join(found[:shown]) + (f" and {left} more{what}" if left else "")


def _files(paths: Sequence[str]) -> list[str]:
    """Write the files of one folder together: `bases/app/1.0/Dockerfile_{amd64,arm64}`."""
    folders: dict[str, list[str]] = {}
    for path in paths:
        start, _, end = path.rpartition("_")
        folders.setdefault(start, []).append(end)
    return [
        f"{start}_{ends[0]}" if len(ends) == 1 else f"{start}_{{{','.join(ends)}}}"
        for start, ends in folders.items()
    ]


def _risk(found: Sequence[Finding], width: int) -> Iterator[Line]:
    first = found[0]
    generated = f" (in {first.generated})" if first.generated else ""
    pieces = [
        (f"{first.place}: ", "bold"),
        (f"{first.level}: ", _COLOURS[first.level]),
        (first.message, ""),
        (f" [{first.rule}]{generated}", "dim"),
    ]
    yield Line(0, pieces)
    if len(found) > 1:
        more = [str(one.place) for one in found[1:]]
        yield Line(_HANG, [(f"{words.times(found)}, also at {_names(more, width)}", "")])


def _diff(line: str) -> Line:
    """What is the same on both sides is there to find the place: its end does not matter."""
    style = _DIFF.get(line[:1], "")
    return Line(_HANG, [(line, style)], "letters" if style else "cut")


def _group(group: Group, width: int, *, is_short: bool) -> Iterator[Line]:
    outlier = [("  (differs from the rest)", "bold yellow")] if group.outlier else []
    yield Line(0, [(f"{words.times(group.files)}  ", "bold cyan"), (group.title, "cyan"), *outlier])
    if group.kind in (Kind.CHANGED, Kind.ADDED) and not is_short:
        hunk = words.hunk(group)[1:]
        yield from map(_diff, hunk[:_HUNK])
        if len(hunk) > _HUNK:
            yield Line(_HANG, [(f"and {words.count(len(hunk) - _HUNK, 'more line')}", "dim")])
    yield Line(_HANG, [(f"in {_names(_files(group.files), width, ' folders')}", "dim")])


def _pins(review: Review) -> Iterator[Line]:
    for move in review.pins:
        yield Line(0, [("pin  ", "bold cyan"), (words.pin(move), "cyan")])
        yield from (Line(_HANG, [(words.platform(one), "")]) for one in move.platforms)


def _radius(review: Review, width: int) -> Iterator[Line]:
    for found in words.builds(review.radius):
        reasons = ", ".join(found[0].reasons)
        yield Line(0, [(f"build {words.times(found)}  ", "bold cyan"), (reasons, "cyan")])
        yield Line(_HANG, [(_names([*map(words.image, found)], width), "")])
    if any(one.seconds is not None for one in review.radius.rebuilt):
        yield Line(0, [(words.to_build(review.radius), "")])
    if removed := review.radius.removed:
        yield Line(0, [(f"removed {words.times(removed)}  ", "bold cyan"), (_names(removed, width), "")])


def _left(groups: Sequence[Group]) -> Iterator[Line]:
    """Count what is not shown: what stands above would have scrolled away."""
    if groups:
        files = words.count(sum(len(group.files) for group in groups), "file")
        more = f"and {words.count(len(groups), 'more change')} in {files}; `--format json` has all"
        yield Line(0, [(more, "bold cyan")])


def _lines(review: Review, width: int, *, is_terminal: bool) -> Iterator[Line]:
    shown = _GROUPS if is_terminal else len(review.groups)
    yield Line(0, [(words.summary(review), "bold")])
    for found in words.alike(review.risks):
        yield from _risk(found, width)
    for group in review.groups[:shown]:
        yield from _group(group, width, is_short=is_terminal and words.told_by_pins(group, review))
    yield from _left(review.groups[shown:])
    yield from _pins(review)
    yield from _radius(review, width)
    yield from (Line(0, [(f"note: {note}", "dim")]) for note in review.notes)


def tell(review: Review, console: Console | None = None) -> None:
    """Print a review for a person, as wide as the terminal; whole lines where there is none."""
    console = console or _console()
    width = console.width - _HANG if console.is_terminal else _PIPED
    for line in _lines(review, width, is_terminal=console.is_terminal):
        for text in _texts(console, line):
            console.print(text, soft_wrap=True)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, color_system=None if os.environ.get("NO_COLOR") else "auto")


def _texts(console: Console, line: Line) -> Iterator[Text]:
    """Give a line as the rows that it takes on the terminal, those after the first further to the right."""
    from rich.text import Text

    text = Text.assemble(*((words.visible(piece), style) for piece, style in line.pieces), tab_size=4)
    text.expand_tabs()
    width = max(_LEAST, console.width - line.indent - _HANG)
    rows = _rows(console, text, line.fold, width) if console.is_terminal else [text]
    for at, row in enumerate(rows):
        yield Text(" " * (line.indent + (_HANG if at else 0))) + row


def _rows(console: Console, text: Text, fold: Fold, width: int) -> Sequence[Text]:
    from rich.cells import chop_cells

    if fold == "words":
        return [*text.wrap(console, width)]
    if fold == "cut":
        text.truncate(width, overflow="ellipsis")
        return [text]
    sizes = [*map(len, chop_cells(text.plain, width))]
    return [*text.divide([sum(sizes[:at]) for at in range(1, len(sizes))])]
