"""Print rows as a table for people, as JSON for programs, or as markdown for pull requests."""

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
    """Print rows with the names of their columns; in JSON, a list of objects with the columns as keys.

    `spare` are the columns that a table drops, in this order, if the terminal is too narrow.
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
    """Print a note to stderr, separate from the result."""
    print(text, file=sys.stderr)


def notes(texts: Iterable[str]) -> None:
    """Print notes to stderr, one line each, in a single write."""
    sys.stderr.write("".join(f"{text}\n" for text in texts))


def size(count: int) -> str:
    """Format a number of bytes for people: 64.8 MB."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.1f} {unit}" if unit != "B" else f"{count} B"
        value /= 1000
    return f"{value:.1f} GB"


def _plain(cell: object) -> object:
    return cell if isinstance(cell, (str, int, float, bool, list, dict)) or cell is None else str(cell)


def _text(cell: object) -> str:
    """Format a cell as one printable line; the text may come from an untrusted image."""
    if isinstance(cell, (list, tuple)):
        return printable(", ".join(str(one) for one in cell))
    return "" if cell is None else printable(str(cell))


def _markdown(columns: Sequence[str], found: list[list[object]]) -> None:
    print(f"| {' | '.join(columns)} |")
    print(f"|{'---|' * len(columns)}")
    for row in found:
        print(f"| {' | '.join(_text(cell).replace('|', chr(92) + '|') for cell in row)} |")


def _table(columns: Sequence[str], found: list[list[str]]) -> None:
    """Print one line per row, at any width, so that scripts can cut columns."""
    widths = [max(map(len, column)) for column in zip(columns, *found, strict=True)]
    for row in (columns, *found):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        line = "  ".join(cells).rstrip()
        click.secho(line, bold=True) if row is columns else click.echo(line)


def _folded(columns: Sequence[str], found: list[list[str]]) -> None:
    """Print a table that is too wide for the terminal; long cells are wrapped."""
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
    """Make a table fit into a terminal: shorten digests, then drop the spare columns."""
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
