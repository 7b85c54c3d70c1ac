"""Printing: the same rows as a table for people, as JSON for programs, as markdown for pull requests."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from dfgen.errors import printable

Row = Sequence[object]


_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")


def rows(columns: Sequence[str], found: Iterable[Row], output: str, spare: Sequence[str] = ()) -> None:
    """Print rows under their columns; JSON is a list of objects with the columns as keys.

    `spare` are columns that a table does without, in this order, where a terminal is too narrow for it.
    """
    listed = [list(row) for row in found]
    if output == "json":
        data([dict(zip(columns, (_plain(cell) for cell in row), strict=True)) for row in listed])
    elif output == "markdown":
        _markdown(columns, listed)
    elif listed:
        cells = [[_text(cell) for cell in row] for row in listed]
        if sys.stdout.isatty():
            width = shutil.get_terminal_size().columns
            columns, cells = _fitted(columns, cells, width, spare)
            if _width(columns, cells) > width:
                _folded(columns, cells)
                return
        _table(columns, cells)


def data(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def note(text: str) -> None:
    """Say something to the person, beside the result."""
    print(text, file=sys.stderr)


def notes(texts: Iterable[str]) -> None:
    """Say many things, a line each."""
    sys.stderr.write("".join(f"{text}\n" for text in texts))


def size(count: int) -> str:
    """Write bytes for a person: 64.8 MB."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.1f} {unit}" if unit != "B" else f"{count} B"
        value /= 1000
    return f"{value:.1f} GB"


def _plain(cell: object) -> object:
    return cell if isinstance(cell, (str, int, float, bool, list, dict)) or cell is None else str(cell)


def _text(cell: object) -> str:
    """Write a cell in one line: what it says may come from an image of anybody's."""
    if isinstance(cell, (list, tuple)):
        return printable(", ".join(str(one) for one in cell))
    return "" if cell is None else printable(str(cell))


def _markdown(columns: Sequence[str], found: list[list[object]]) -> None:
    print(f"| {' | '.join(columns)} |")
    print(f"|{'---|' * len(columns)}")
    for row in found:
        print(f"| {' | '.join(_text(cell).replace('|', chr(92) + '|') for cell in row)} |")


def _table(columns: Sequence[str], found: list[list[str]]) -> None:
    """Print a row a line, whatever the width: scripts cut columns from it."""
    widths = [max(map(len, column)) for column in zip(columns, *found, strict=True)]
    for row in (columns, *found):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        line = "  ".join(cells).rstrip()
        click.secho(line, bold=True) if row is columns else click.echo(line)


def _folded(columns: Sequence[str], found: list[list[str]]) -> None:
    """Print a table that is too wide for the terminal: its cells go on in further lines."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in found:
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)


def _fitted(
    columns: Sequence[str], found: list[list[str]], width: int, spare: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """Make a table fit a terminal: shorten digests, then leave out what can be told from the rest."""
    kept = list(columns)
    if _width(kept, found) > width:
        found = [[_DIGEST.sub(r"\1", cell) for cell in row] for row in found]
    for column in spare:
        if _width(kept, found) > width:
            at = kept.index(column)
            kept.pop(at)
            found = [row[:at] + row[at + 1 :] for row in found]
    return kept, found


def _width(columns: Sequence[str], found: list[list[str]]) -> int:
    cells = zip(columns, *found, strict=True)
    return sum(max(map(len, column)) for column in cells) + 2 * (len(columns) - 1)
