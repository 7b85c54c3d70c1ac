"""Progress of builds and transfers: a live view on a terminal, plain lines otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from dfgen.commands.building.run import (
    Event,
    Finished,
    Merged,
    NodeLost,
    PackagesMoved,
    Progressed,
    Rendered,
    Result,
    Retrying,
    Started,
    State,
)
from dfgen.commands.plan.inputs import Step
from dfgen.errors import masked

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Count = Callable[[int], None]


@contextmanager
def transferring(stream: TextIO | None = None) -> Iterator[tuple[Count, Count]]:
    """Show transferred bytes on a terminal; yields functions that set the total and advance by a count."""
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


Report = Callable[[Event], None]

_DURATION = 6  # minimum width of the duration column: wide enough for most, so that columns do not move
_LONGEST = 100  # characters of an instruction
_STYLES = {
    State.BUILT: "green",
    State.TAKEN: "green",
    State.UP_TO_DATE: "dim",
    State.FAILED: "bold red",
    State.INTERRUPTED: "yellow",
    State.NOT_TRIED: "yellow",
}


@contextmanager
def progress(steps: Sequence[Step], stream: TextIO | None = None) -> Iterator[Report]:
    """Show a build's events on a stream, by default stderr, during the block."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield Lines(stream)
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(file=stream, highlight=False)
    view = LiveView(steps, console)
    with Live(get_renderable=view.render, console=console, refresh_per_second=8, transient=True):
        yield view


class Lines:
    """Prints a line for each event."""

    def __init__(self, stream: TextIO) -> None:
        """Set the stream to write to."""
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Print an event's line; images that were up to date are left to the summary."""
        if isinstance(event, Finished) and event.result.state is State.UP_TO_DATE:
            return
        print(line(event), file=self._stream, flush=True)


def line(event: Event) -> str:
    """Describe an event in one line."""
    match event:
        case Started(step):
            return f"{step.image.name}: building ({step.why})"
        case Progressed(image, doing):
            return f"{image.name}: {_cut(doing)}"
        case Finished(result):
            return f"{result.image.name}: {_outcome(result)}"
        case Merged(version, digest):
            return f"{version}: merged, {digest}"
        case Retrying(image, why):
            return f"{image.name}: retrying: {_cut(why)}"
        case Rendered() | NodeLost() | PackagesMoved():
            return _notice(event)


def _notice(event: Rendered | NodeLost | PackagesMoved) -> str:
    if isinstance(event, PackagesMoved):
        return str(event)
    if isinstance(event, Rendered):
        return f"{event.path}: rendered again, because the digest of a parent changed"
    return f"node {event.node} no longer responds; its builds move to other nodes"


def _cut(doing: str) -> str:
    """Cut a long instruction; the Dockerfile and the log have all of it."""
    text = masked(" ".join(doing.split()))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def _outcome(result: Result) -> str:
    if result.state in (State.BUILT, State.TAKEN):
        return f"{result.state} in {duration(result.seconds)}, {result.digest}"
    if result.state is State.NOT_TRIED:  # its error already names the image
        return str(result.error).removeprefix(f"{result.image.name}: ")
    return str(result.state)  # the summary after the run has the error


def duration(seconds: float) -> str:
    """Format seconds: `8.2 s`, `1:05`, `1:02:09`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class LiveView:
    """Prints finished images, and draws the running ones below, with their step and duration."""

    def __init__(
        self, steps: Sequence[Step], console: Console, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Set the planned steps, the console to draw on, and a clock in seconds."""
        self._console, self._clock = console, clock
        self._waiting = dict.fromkeys(step.image.name for step in steps)
        self._running: dict[str, tuple[float, str]] = {}
        self._count: dict[State, int] = dict.fromkeys(State, 0)

    def __call__(self, event: Event) -> None:
        """Update the view with an event, and print what is finished."""
        match event:
            case Started(step):
                self._waiting.pop(step.image.name, None)
                self._running[step.image.name] = (self._clock(), step.why)
            case Progressed(image, doing):
                begun, _ = self._running[image.name]
                self._running[image.name] = (begun, doing)
            case Finished(result):
                self._finish(result)
            case Merged() | Rendered() | PackagesMoved() | Retrying() | NodeLost():
                style = "yellow" if isinstance(event, Retrying | NodeLost) else "cyan"
                self._console.print(line(event), style=style, markup=False, soft_wrap=True)

    def _finish(self, result: Result) -> None:
        self._waiting.pop(result.image.name, None)
        self._running.pop(result.image.name, None)
        self._count[result.state] += 1
        if result.state is not State.UP_TO_DATE:
            text = line(Finished(result))
            self._console.print(text, style=_STYLES[result.state], markup=False, soft_wrap=True)

    def render(self) -> RenderableType:
        """Draw the running images and a summary, each line cut to the terminal's width."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        running = list(self._running.items())
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(no_wrap=True, min_width=max((len(name) for name, _ in running), default=0))
        table.add_column(no_wrap=True, min_width=_DURATION, justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for name, (begun, doing) in running:
            table.add_row(Text(name, "bold"), duration(self._clock() - begun), Text(_cut(doing)))
        return Group(table, Text(self._summary(), "dim"))

    def _summary(self) -> str:
        done = [f"{count} {state}" for state, count in self._count.items() if count]
        return ", ".join([*done, f"{len(self._running)} running", f"{len(self._waiting)} waiting"])
