"""Smoke tests: run a built image on its own architecture and compare the outcome with the family's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from dfgen.catalog.model import Builder, Image, SmokeTest
from dfgen.engine.containers import Engine
from dfgen.engine.request import Outcome
from dfgen.errors import CheckError, Problem, listing
from dfgen.oci.manifest import Descriptor

_LINES = 20  # of a test's output, at the end of its log entry
_SHOWN = 10  # of a failed test's output, with the error


def smoke(
    image: Image, built: Descriptor, node: Builder, engine: Engine, write: Callable[[str], object]
) -> None:
    """Run all tests of an image on the node that built it; `write` appends to the image's log.

    Raises CheckError with all failed tests, and ExternalError if the engine cannot run them.
    """
    problems: list[Problem] = []
    output: list[str] = []
    if not image.tests:
        return
    with engine.loaded(built, image.platform, node) as loaded:
        for test in image.tests:
            outcome = loaded.run(test)
            problem = judge(test, outcome)
            write(_log_entry(test, outcome, problem))
            if problem:
                problems.append(Problem(test.place, f"smoke test {test.name!r} of {image.name}: {problem}"))
                output += _output_before(problem, outcome)
    if problems:
        failed = CheckError(problems)
        failed.excerpt = tuple(output)
        raise failed


def judge(test: SmokeTest, outcome: Outcome) -> str:
    """Return why a test failed; empty if it passed."""
    if not outcome.started and not (test.ends and outcome.exit == test.exit):
        return f"the container could not start: {outcome.output}"
    if outcome.unmet:
        return _unmet(test, outcome)
    if outcome.timed_out:
        return f"did not finish within {test.timeout} s{_last_line(outcome.output)}"
    if test.ends and outcome.exit != test.exit:
        return f"exited with status {outcome.exit}, expected {test.exit}{_last_line(outcome.output)}"
    if test.expect not in outcome.output:
        return f"output does not contain {test.expect!r}{_last_line(outcome.output)}"
    return ""


def _unmet(test: SmokeTest, outcome: Outcome) -> str:
    """Return why a started image failed a test: it exited, or time was up."""
    if outcome.exit is not None:
        hint = (
            "; use 'args' to test a program that ends"
            if outcome.unmet == "starts" and not outcome.exit
            else ""
        )
        return f"exited with status {outcome.exit} {_before(test, outcome)}{_last_line(outcome.output)}{hint}"
    if outcome.unmet == "healthy":
        return _unhealthy(test, outcome)
    if outcome.unmet == "ports":
        return f"{_unreachable(test, outcome)}{_last_line(outcome.output)}"
    if outcome.unmet == "logs":
        return f"output did not match {test.logs!r} within {test.timeout} s{_last_line(outcome.output)}"
    return "was stopped"


def _before(test: SmokeTest, outcome: Outcome) -> str:
    return {
        "healthy": "before it was healthy",
        "ports": f"before it accepted connections on {_named(test.ports)}",
        "logs": f"before its output matched {test.logs!r}",
        "starts": f"within {test.starts} s",
        "run": "before the command ran",
    }[outcome.unmet]


def _unhealthy(test: SmokeTest, outcome: Outcome) -> str:
    if not outcome.health:
        return "the image has no HEALTHCHECK; add one to its template, or use 'starts' or 'run'"
    check = _last_line(outcome.health_log, "; last output of its HEALTHCHECK: ")
    return f"was not healthy within {test.healthy} s{check}"


def _unreachable(test: SmokeTest, outcome: Outcome) -> str:
    if outcome.ports is None:
        return "'ports' needs /bin/sh in the image; use 'healthy' or 'logs' instead"
    closed = [port for port in test.ports if port not in outcome.ports]
    if not closed:
        local = [port for port in test.ports if not outcome.ports[port]]
        return f"accepted connections on {_named(local)} only from inside its container, on 127.0.0.1"
    found = f"listens on {_named(sorted(outcome.ports))}" if outcome.ports else "listens on no port"
    return f"did not accept connections on {_named(closed)} within {test.timeout} s, {found}"


def _named(ports: Sequence[int]) -> str:
    return f"port{'s' if len(ports) > 1 else ''} {listing(map(str, ports))}"


def _last_line(output: str, lead: str = "; last line of output: ") -> str:
    lines = _lines(output)
    return f"{lead}{lines[-1]}" if lines else "; no output"


def _lines(output: str) -> list[str]:
    return [line.strip() for line in output.splitlines() if line.strip()]


def _output_before(problem: str, outcome: Outcome) -> list[str]:
    """The last lines of output, without the one that the problem quotes."""
    lines = _lines(outcome.output)
    return lines[-_SHOWN - 1 : -1] if lines and lines[-1] in problem else lines[-_SHOWN:]


def _log_entry(test: SmokeTest, outcome: Outcome, problem: str) -> str:
    lines: Sequence[str] = (*outcome.output.splitlines()[-_LINES:], *_health_lines(outcome))
    shown = "".join(f"  {line}\n" for line in lines)
    return f"smoke test {test.name!r}: {problem or 'passed'}\n{shown}"


def _health_lines(outcome: Outcome) -> Iterator[str]:
    yield from (f"HEALTHCHECK: {line}" for line in outcome.health_log.splitlines()[-_LINES:])
