"""Processes measured from start to end, in turn, so that what the machine does besides falls on all alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run: its seconds on the clock, those of the processor, and the most memory it held in MiB."""

    seconds: float
    cpu: float
    memory: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A command that does the work.

    `before` puts back what an earlier run has done, `after` looks at what this one did; neither is measured.
    """

    name: str
    command: Sequence[str]
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    cwd: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The runs of one contestant."""

    name: str
    samples: tuple[Sample, ...]

    @property
    def seconds(self) -> float:
        """The median time."""
        return statistics.median(sample.seconds for sample in self.samples)

    @property
    def cpu(self) -> float:
        """The median of the processor's seconds."""
        return statistics.median(sample.cpu for sample in self.samples)

    @property
    def memory(self) -> float:
        """The most memory that a run held."""
        return max(sample.memory for sample in self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        """The fastest and the slowest run."""
        times = [sample.seconds for sample in self.samples]
        return min(times), max(times)

    def ratio(self, other: Series) -> float:
        """The median of how many times as long this takes, run by run."""
        pairs = zip(self.samples, other.samples, strict=True)
        return statistics.median(ours.seconds / theirs.seconds for ours, theirs in pairs)


def _environment() -> dict[str, str]:
    # As installed, Python's bytecode is kept: no one pays for compiling at each start.
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(contestant: Contestant) -> Sample:
    """Run a command once; one that fails ends the benchmark with its output."""
    contestant.before()
    start = time.monotonic()
    process = subprocess.Popen(
        contestant.command,
        cwd=contestant.cwd,
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    errors = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.stderr:
        process.stderr.close()
    if process.returncode:
        raise SystemExit(f"{contestant.name} failed:\n{errors.decode(errors='replace')}")
    contestant.after()
    return Sample(seconds=seconds, cpu=usage.ru_utime + usage.ru_stime, memory=usage.ru_maxrss / 1024)


def alternately(contestants: Sequence[Contestant], runs: int) -> tuple[Series, ...]:
    """Run all in turn, so many times; one series each."""
    rounds = [[run(one) for one in contestants] for _ in range(runs)]
    columns = zip(*rounds, strict=True)
    return tuple(
        Series(name=one.name, samples=tuple(column)) for one, column in zip(contestants, columns, strict=True)
    )
