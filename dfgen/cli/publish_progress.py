"""Progress of a publish: how many bytes are there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Count = Callable[[int], None]


@contextmanager
def transferring(stream: TextIO | None = None) -> Iterator[tuple[Count, Count]]:
    """Show on a terminal how many bytes are there; yields what is told the total, and each step."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield (lambda _: None), (lambda _: None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=stream), transient=True) as shown:
        task = shown.add_task("publish", total=None)
        yield (lambda total: shown.update(task, total=total)), (lambda count: shown.advance(task, count))
