"""Progress of a build, on a terminal and otherwise."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from dfgen.cli.progress import LiveView, duration, line, progress
from dfgen.commands.building.run import Event, Finished, Merged, Progressed, Rendered, Result, Started, State
from dfgen.commands.plan.inputs import Reason, Step
from dfgen.errors import CheckError, Problem
from dfgen.oci.digest import Digest
from tests.unit.models import image

DIGEST = Digest.of(b"x")
STEPS = [Step(image=image(name), reason=Reason.NEW) for name in ("a", "b", "c")]
A, B, C = STEPS
TWO_PROBLEMS = CheckError([Problem(None, "one"), Problem(None, "two")])
NOT_TRIED = CheckError("c:1@amd64: skipped, because b:1@amd64 failed")
BUILT = Finished(Result(step=A, state=State.BUILT, digest=DIGEST, seconds=8.24))
FAILED = Finished(Result(step=B, state=State.FAILED, error=TWO_PROBLEMS))
EVENTS: list[tuple[Event, str]] = [
    (Started(A), "a:1@amd64: building (not built yet)"),
    (Progressed(A.image, "[1/2] RUN x"), "a:1@amd64: [1/2] RUN x"),
    (BUILT, f"a:1@amd64: built in 8.2 s, {DIGEST}"),
    (FAILED, "b:1@amd64: failed"),
    (Finished(Result(step=C, state=State.UP_TO_DATE)), "c:1@amd64: up to date"),
    (Finished(Result(step=C, state=State.NOT_TRIED, error=NOT_TRIED)), str(NOT_TRIED)),
    (Merged("a:1", DIGEST), f"a:1: merged, {DIGEST}"),
    (
        Rendered("bases/b/1/Dockerfile_amd64"),
        "bases/b/1/Dockerfile_amd64: rendered again, because the digest of a parent changed",
    ),
]


@pytest.mark.parametrize(("event", "expected"), EVENTS)
def test_each_event_is_one_line(event: Event, expected: str) -> None:
    assert line(event) == expected


def test_without_a_terminal_there_are_plain_lines() -> None:
    stream = io.StringIO()
    with progress(STEPS, stream) as report:
        for event, _ in EVENTS:
            report(event)
    printed = [expected for _, expected in EVENTS if not expected.endswith("up to date")]
    assert stream.getvalue() == "".join(f"{expected}\n" for expected in printed)


def test_a_long_instruction_is_cut() -> None:
    assert (
        line(Progressed(A.image, f"RUN set -eux;     {'x' * 200}"))
        == f"a:1@amd64: RUN set -eux; {'x' * 86} …"
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_keeps_finished_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with progress(STEPS, stream) as report:
        for event, _ in EVENTS:
            report(event)
    assert f"a:1@amd64: built in 8.2 s, {DIGEST}" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()


class Drawn:
    """A live view on a console of 60 columns, with a clock that tests set."""

    def __init__(self) -> None:
        self.now = 100.0
        self.console = Console(file=io.StringIO(), width=60, color_system=None)
        self.view = LiveView(STEPS, self.console, lambda: self.now)

    def lines(self) -> list[str]:
        with self.console.capture() as captured:
            self.console.print(self.view.render())
        return [one.rstrip() for one in captured.get().splitlines() if one.strip()]


def test_running_images_are_shown_with_step_and_duration() -> None:
    drawn = Drawn()
    assert drawn.lines() == ["0 running, 3 waiting"]
    drawn.view(Started(A))
    drawn.now += 65
    drawn.view(Started(B))
    drawn.view(Progressed(B.image, "[2/5] RUN " + "apt-get install " * 9))
    assert drawn.lines() == [
        "a:1@amd64    1:05  not built yet",
        "b:1@amd64   0.0 s  [2/5] RUN apt-get install apt-get instal…",
        "2 running, 1 waiting",
    ]


def test_finished_images_are_counted_and_printed_unless_up_to_date() -> None:
    drawn = Drawn()
    with drawn.console.capture() as captured:
        for event in (Started(A), BUILT, FAILED, Finished(Result(step=C, state=State.UP_TO_DATE))):
            drawn.view(event)
    assert captured.get() == f"a:1@amd64: built in 8.2 s, {DIGEST}\nb:1@amd64: failed\n"
    assert drawn.lines() == ["1 built, 1 up to date, 1 failed, 0 running, 0 waiting"]


def test_markup_in_steps_is_printed_literally() -> None:
    drawn = Drawn()
    drawn.view(Started(A))
    drawn.view(Progressed(A.image, "[red]RUN[/red]"))
    assert drawn.lines()[0] == "a:1@amd64   0.0 s  [red]RUN[/red]"


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.0, "0.0 s"), (59.94, "59.9 s"), (60, "1:00"), (3661.5, "1:01:01")]
)
def test_durations(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected
