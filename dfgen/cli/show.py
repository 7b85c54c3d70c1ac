"""Printing: the same rows as a table for people, as JSON for programs, as markdown for pull requests."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

Row = Sequence[object]


def rows(columns: Sequence[str], found: Iterable[Row], output: str, title: str = "") -> None:
    """Print rows under their columns; JSON is a list of objects with the columns as keys."""
    listed = [list(row) for row in found]
    if output == "json":
        data([dict(zip(columns, (_plain(cell) for cell in row), strict=True)) for row in listed])
    elif output == "markdown":
        _markdown(columns, listed)
    elif listed:
        _table(columns, listed, title)


def data(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def note(text: str) -> None:
    """Say something to the person, beside the result."""
    print(text, file=sys.stderr)


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
    if isinstance(cell, (list, tuple)):
        return ", ".join(str(one) for one in cell)
    return "" if cell is None else str(cell)


def _markdown(columns: Sequence[str], found: list[list[object]]) -> None:
    print(f"| {' | '.join(columns)} |")
    print(f"|{'---|' * len(columns)}")
    for row in found:
        print(f"| {' | '.join(_text(cell).replace('|', chr(92) + '|') for cell in row)} |")


def _table(columns: Sequence[str], found: list[list[object]], title: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Into a pipe every row stays on its line, whatever the width: scripts cut columns from it.
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    if not sys.stdout.isatty():
        console.width = 10_000
    table = Table(box=None, pad_edge=False, title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in found:
        table.add_row(*(Text(_text(cell)) for cell in row))
    with console.capture() as capture:
        console.print(table)
    # Rich fills every line up to the table's width; in a pipe or a log that is only noise.
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))
