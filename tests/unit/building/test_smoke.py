"""Smoke tests: which outcomes pass, and the errors of those that fail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from dfgen.catalog.model import Builder, SmokeTest
from dfgen.commands.building.smoke import judge, smoke
from dfgen.engine.request import Outcome
from dfgen.errors import CheckError, Place
from dfgen.oci.manifest import OCI_MANIFEST, Descriptor
from dfgen.oci.platform import Platform
from tests.unit.models import ARM64, LOCAL, a_test, image

BUILT = Descriptor.of(b"{}", OCI_MANIFEST)
HEALTHY = a_test(command=(), healthy=5)
STARTED = a_test(command=(), starts=5)
ENDS = a_test(command=(), args=())
PORTS = a_test(command=(), ports=(80, 443))
LOGS = a_test(command=(), logs="^up$")
REQUEST = a_test(command=("wget", "-O-", "localhost"), healthy=5, expect="hi")


@pytest.mark.parametrize(
    ("test", "outcome", "expected"),
    [
        (a_test(), Outcome(exit=0, output=""), ""),
        (a_test(expect="17."), Outcome(exit=0, output="openjdk 17.0.1\n"), ""),
        (a_test(exit=3), Outcome(exit=3, output=""), ""),
        (HEALTHY, Outcome(exit=None, output="", health="healthy"), ""),
        (REQUEST, Outcome(exit=0, output="hi", health="healthy"), ""),
        (
            a_test(),
            Outcome(exit=1, output="a\nno java\n\n"),
            "exited with status 1, expected 0; last line of output: no java",
        ),
        (
            a_test(exit=3),
            Outcome(exit=0, output=""),
            "exited with status 0, expected 3; no output",
        ),
        (
            a_test(expect="17."),
            Outcome(exit=0, output="openjdk 21"),
            "output does not contain '17.'; last line of output: openjdk 21",
        ),
        (
            a_test(timeout=7),
            Outcome(exit=None, output="waiting\n", timed_out=True),
            "did not finish within 7 s; last line of output: waiting",
        ),
        (
            HEALTHY,
            Outcome(exit=None, output="", unmet="healthy", health="starting", health_log="wget: refused\n"),
            "was not healthy within 5 s; last output of its HEALTHCHECK: wget: refused",
        ),
        (
            HEALTHY,
            Outcome(exit=None, output="", unmet="healthy", health="starting"),
            "was not healthy within 5 s; no output",
        ),
        (
            HEALTHY,
            Outcome(exit=1, output="nginx: [emerg] no\n", unmet="healthy", health="starting"),
            "exited with status 1 before it was healthy; last line of output: nginx: [emerg] no",
        ),
        (
            HEALTHY,
            Outcome(exit=None, output="", unmet="healthy"),
            "the image has no HEALTHCHECK; add one to its template, or use 'starts' or 'run'",
        ),
        (
            REQUEST,
            Outcome(exit=None, output="", timed_out=True),
            "did not finish within 60 s; no output",
        ),
        (
            REQUEST,
            Outcome(exit=0, output="no\n"),
            "output does not contain 'hi'; last line of output: no",
        ),
        (a_test(exit=127), Outcome(exit=127, output="exec: no such program", started=False), ""),
        (STARTED, Outcome(exit=None, output=""), ""),
        (ENDS, Outcome(exit=0, output=""), ""),
        (PORTS, Outcome(exit=None, output="", ports={80: True, 443: True}), ""),
        (
            a_test(),
            Outcome(exit=None, output="unable to find user app", started=False),
            "the container could not start: unable to find user app",
        ),
        (
            a_test(exit=1),
            Outcome(exit=127, output="exec: no such program", started=False),
            "the container could not start: exec: no such program",
        ),
        (
            STARTED,
            Outcome(exit=127, output="exec: no such program", started=False),
            "the container could not start: exec: no such program",
        ),
        (
            STARTED,
            Outcome(exit=1, output="no", unmet="starts"),
            "exited with status 1 within 5 s; last line of output: no",
        ),
        (
            STARTED,
            Outcome(exit=0, output="", unmet="starts"),
            "exited with status 0 within 5 s; no output; use 'args' to test a program that ends",
        ),
        (ENDS, Outcome(exit=1, output=""), "exited with status 1, expected 0; no output"),
        (
            PORTS,
            Outcome(exit=None, output="", unmet="ports", ports={80: True, 22: True}),
            "did not accept connections on port 443 within 60 s, listens on ports 22 and 80; no output",
        ),
        (
            PORTS,
            Outcome(exit=None, output="", unmet="ports", ports={80: True, 443: False}),
            "accepted connections on port 443 only from inside its container, on 127.0.0.1; no output",
        ),
        (
            PORTS,
            Outcome(exit=2, output="", unmet="ports"),
            "exited with status 2 before it accepted connections on ports 80 and 443; no output",
        ),
        (
            LOGS,
            Outcome(exit=None, output="down", unmet="logs"),
            "output did not match '^up$' within 60 s; last line of output: down",
        ),
        (
            REQUEST,
            Outcome(exit=1, output="bye", unmet="run"),
            "exited with status 1 before the command ran; last line of output: bye",
        ),
    ],
)
def test_the_outcome_is_compared_with_the_test(test: SmokeTest, outcome: Outcome, expected: str) -> None:
    assert judge(test, outcome) == expected


@dataclass
class ScriptedEngine:
    """Runs nothing: returns the outcome for each test's name."""

    outcomes: dict[str, Outcome]
    log: list[str] = field(default_factory=list)

    @contextmanager
    def loaded(self, built: Descriptor, platform: Platform, node: Builder) -> Iterator[ScriptedEngine]:
        self.log.append(f"load {built.digest.short} {platform}")
        try:
            yield self
        finally:
            self.log.append("remove")

    def run(self, test: SmokeTest) -> Outcome:
        self.log.append(test.name)
        return self.outcomes[test.name]


def test_all_tests_run_and_every_failure_is_reported() -> None:
    tests = tuple(
        a_test(name=name, place=Place("bases/a/base.yaml", line))
        for line, name in enumerate(("one", "two", "three"), 4)
    )
    good, bad = Outcome(exit=0, output="fine\n"), Outcome(exit=2, output="bad\n")
    engine = ScriptedEngine({"one": bad, "two": good, "three": bad})
    written: list[str] = []
    with pytest.raises(CheckError) as caught:
        smoke(image("a", ARM64, tests=tests), BUILT, LOCAL, engine, written.append)
    reason = "exited with status 2, expected 0; last line of output: bad"
    assert str(caught.value).splitlines() == [
        f"bases/a/base.yaml:4: smoke test 'one' of a:1@arm64: {reason}",
        f"bases/a/base.yaml:6: smoke test 'three' of a:1@arm64: {reason}",
    ]
    assert engine.log == [f"load {BUILT.digest.short} linux/arm64", "one", "two", "three", "remove"]
    assert "".join(written) == (
        f"smoke test 'one': {reason}\n  bad\nsmoke test 'two': passed\n  fine\n"
        f"smoke test 'three': {reason}\n  bad\n"
    )


def test_the_log_has_the_last_lines_and_the_output_of_the_health_check() -> None:
    test = a_test(command=(), healthy=1)
    output = "".join(f"line {at}\n" for at in range(30))
    outcome = Outcome(exit=None, output=output, unmet="healthy", health="starting", health_log="no\n")
    written: list[str] = []
    with pytest.raises(CheckError):
        smoke(image("a", tests=(test,)), BUILT, LOCAL, ScriptedEngine({"works": outcome}), written.append)
    lines = "".join(written).splitlines()
    assert lines[1:] == [*(f"  line {at}" for at in range(10, 30)), "  HEALTHCHECK: no"]


def test_nothing_is_loaded_without_tests() -> None:
    engine = ScriptedEngine({})
    smoke(image("a"), BUILT, LOCAL, engine, print)
    assert engine.log == []
