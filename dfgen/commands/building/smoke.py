"""Smoke: a built image is run, in its own architecture, and held against what its family expects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from dfgen.catalog.model import Builder, Image, SmokeTest
from dfgen.engine.containers import Engine
from dfgen.engine.request import Outcome
from dfgen.errors import CheckError, Problem
from dfgen.oci.manifest import Descriptor

_SHOWN = 20  # lines of output in a message's tail


def smoke(
    image: Image, built: Descriptor, node: Builder, engine: Engine, write: Callable[[str], object]
) -> None:
    """Run all tests of an image, on the node that built it.

    Errors: CheckError with every test that failed, ExternalError for an engine that cannot run any.
    """
    problems: list[Problem] = []
    if not image.tests:
        return
    with engine.loaded(built, image.platform, node) as loaded:
        for test in image.tests:
            outcome = loaded.run(test)
            problem = judge(test, outcome)
            write(_entry(test, outcome, problem))
            if problem:
                problems.append(Problem(test.place, f"smoke test {test.name!r} of {image.name}: {problem}"))
    if problems:
        raise CheckError(problems)


def judge(test: SmokeTest, outcome: Outcome) -> str:
    """Say what is not as expected; nothing when the test passed."""
    if test.healthy and outcome.health != "healthy":
        return _unhealthy(test, outcome)
    if outcome.timed_out:
        return f"did not end within {test.timeout} s{_last(outcome.output)}"
    if test.command and outcome.exit != test.exit:
        return f"ended with exit status {outcome.exit}, expected {test.exit}{_last(outcome.output)}"
    if test.expect not in outcome.output:
        return f"its output has no {test.expect!r}{_last(outcome.output)}"
    return ""


def _unhealthy(test: SmokeTest, outcome: Outcome) -> str:
    if outcome.exit is not None:
        return f"ended with exit status {outcome.exit} before it was healthy{_last(outcome.output)}"
    if not outcome.health:
        return "has no HEALTHCHECK; add one to its template, or use 'run'"
    said = _last(outcome.health_log, "; its HEALTHCHECK said last: ")
    return f"was not healthy within {test.healthy} s{said}"


def _last(output: str, lead: str = "; its last line: ") -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f"{lead}{lines[-1]}" if lines else "; it printed nothing"


def _entry(test: SmokeTest, outcome: Outcome, problem: str) -> str:
    """Write a test's part of the log."""
    lines: Sequence[str] = (*outcome.output.splitlines()[-_SHOWN:], *_health_lines(outcome))
    shown = "".join(f"  {line}\n" for line in lines)
    return f"smoke test {test.name!r}: {problem or 'passed'}\n{shown}"


def _health_lines(outcome: Outcome) -> Iterator[str]:
    yield from (f"HEALTHCHECK: {line}" for line in outcome.health_log.splitlines()[-_SHOWN:])
