"""A review for the terminal: risks first, then changes, pins, images to build and notes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from dfgen.cli.review import text as words
from dfgen.commands.review.records import Group, Kind, Review
from dfgen.errors import counted
from dfgen.findings import Finding, Level

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_COLOURS = {Level.ERROR: "bold red", Level.WARNING: "bold yellow", Level.NOTE: "bold blue"}
_DIFF = {"+": "green", "-": "red", "@": "cyan"}
_MAX_HUNK = 40  # lines of a hunk
_MAX_ROWS = 3  # rows of a list of names
_MAX_GROUPS = 20  # changes on a terminal
_PIPE_WIDTH = 120  # columns for lists, if the output is not a terminal
_MIN_WIDTH = 20  # columns, even on a narrower terminal
_INDENT = 4

Fold = Literal["words", "letters", "cut"]  # wrap at words, wrap anywhere, or cut off
Piece = tuple[str, str]  # text and style


class Line(NamedTuple):
    """A line to print: its indentation, its pieces, and how it is folded if it is too long."""

    indent: int
    pieces: Sequence[Piece]
    fold: Fold = "words"


def _names(found: Sequence[str], width: int, what: str = "") -> str:
    """Return as many names as fit, followed by the number of the rest."""
    room, shown = width * _MAX_ROWS, 0
    while shown < len(found) and (not shown or room >= len(found[shown])):
        room -= len(found[shown]) + 2
        shown += 1
    left = len(found) - shown
    return ", ".join(found[:shown]) + (f" and {left} more{what}" if left else "")


def _files(paths: Sequence[str]) -> list[str]:
    """Join the files of each folder: `bases/app/1.0/Dockerfile_{amd64,arm64}`."""
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
        yield Line(_INDENT, [(f"{words.times(found)}, also at {_names(more, width)}", "")])


def _diff(line: str) -> Line:
    style = _DIFF.get(line[:1], "")  # none for unchanged lines, which only show where the change is
    return Line(_INDENT, [(line, style)], "letters" if style else "cut")


def _group(group: Group, width: int, *, is_short: bool) -> Iterator[Line]:
    outlier = [("  (differs from the rest)", "bold yellow")] if group.outlier else []
    yield Line(0, [(f"{words.times(group.files)}  ", "bold cyan"), (group.title, "cyan"), *outlier])
    if group.kind in (Kind.CHANGED, Kind.ADDED) and not is_short:
        hunk = words.hunk(group)[1:]
        yield from map(_diff, hunk[:_MAX_HUNK])
        if len(hunk) > _MAX_HUNK:
            yield Line(_INDENT, [(f"and {counted(len(hunk) - _MAX_HUNK, 'more line')}", "dim")])
    yield Line(_INDENT, [(f"in {_names(_files(group.files), width, ' folders')}", "dim")])


def _pins(review: Review) -> Iterator[Line]:
    for move in review.pins:
        yield Line(0, [("pin  ", "bold cyan"), (words.pin(move), "cyan")])
        yield from (Line(_INDENT, [(words.platform(one), "")]) for one in move.platforms)


def _impact(review: Review, width: int) -> Iterator[Line]:
    for found in words.builds(review.impact):
        reasons = ", ".join(found[0].reasons)
        yield Line(0, [(f"build {words.times(found)}  ", "bold cyan"), (reasons, "cyan")])
        yield Line(_INDENT, [(_names([*map(words.image, found)], width), "")])
    if any(one.seconds is not None for one in review.impact.rebuilt):
        yield Line(0, [(words.to_build(review.impact), "")])
    if removed := review.impact.removed:
        yield Line(0, [(f"removed {words.times(removed)}  ", "bold cyan"), (_names(removed, width), "")])


def _rest(groups: Sequence[Group]) -> Iterator[Line]:
    """Count the changes that are not shown, so that the risks do not scroll away."""
    if groups:
        files = counted(sum(len(group.files) for group in groups), "file")
        more = f"and {counted(len(groups), 'more change')} in {files}; use `--format json` to see all"
        yield Line(0, [(more, "bold cyan")])


def _lines(review: Review, width: int, *, is_terminal: bool) -> Iterator[Line]:
    shown = _MAX_GROUPS if is_terminal else len(review.groups)
    yield Line(0, [(words.summary(review), "bold")])
    for found in words.alike(review.risks):
        yield from _risk(found, width)
    for group in review.groups[:shown]:
        yield from _group(group, width, is_short=is_terminal and words.is_pin_move(group, review))
    yield from _rest(review.groups[shown:])
    yield from _pins(review)
    yield from _impact(review, width)
    yield from (Line(0, [(f"note: {note}", "dim")]) for note in review.notes)


def print_review(review: Review, console: Console | None = None) -> None:
    """Print a review: at most as wide as the terminal, or with complete lines to a pipe."""
    console = console or _console()
    width = console.width - _INDENT if console.is_terminal else _PIPE_WIDTH
    for line in _lines(review, width, is_terminal=console.is_terminal):
        for text in _texts(console, line):
            console.print(text, soft_wrap=True)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, color_system=None if os.environ.get("NO_COLOR") else "auto")


def _texts(console: Console, line: Line) -> Iterator[Text]:
    """Fold a line into rows of the terminal, with a hanging indent."""
    from rich.text import Text

    text = Text.assemble(*((words.visible(piece), style) for piece, style in line.pieces), tab_size=4)
    text.expand_tabs()
    width = max(_MIN_WIDTH, console.width - line.indent - _INDENT)
    rows = _rows(console, text, line.fold, width) if console.is_terminal else [text]
    for at, row in enumerate(rows):
        yield Text(" " * (line.indent + (_INDENT if at else 0))) + row


def _rows(console: Console, text: Text, fold: Fold, width: int) -> Sequence[Text]:
    from rich.cells import chop_cells

    if fold == "words":
        return [*text.wrap(console, width)]
    if fold == "cut":
        text.truncate(width, overflow="ellipsis")
        return [text]
    sizes = [*map(len, chop_cells(text.plain, width))]
    return [*text.divide([sum(sizes[:at]) for at in range(1, len(sizes))])]
