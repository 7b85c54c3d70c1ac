"""Measure processes from start to exit. Contestants alternate, so that other load affects all of them alike."""

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
    """One run: wall-clock seconds, CPU seconds (user and system), and peak memory in MiB."""

    seconds: float
    cpu: float
    memory: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A command to measure.

    `before` undoes the effects of an earlier run, `after` checks the result; neither is measured.
    """

    name: str
    command: Sequence[str]
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    cwd: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """All runs of one contestant."""

    name: str
    samples: tuple[Sample, ...]

    @property
    def seconds(self) -> float:
        """The median of the wall-clock seconds."""
        return statistics.median(sample.seconds for sample in self.samples)

    @property
    def cpu(self) -> float:
        """The median of the CPU seconds."""
        return statistics.median(sample.cpu for sample in self.samples)

    @property
    def memory(self) -> float:
        """The highest peak memory of all runs, in MiB."""
        return max(sample.memory for sample in self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        """The seconds of the fastest and the slowest run."""
        times = [sample.seconds for sample in self.samples]
        return min(times), max(times)

    def ratio(self, other: Series) -> float:
        """Return how many times as long as `other` this takes: the median of the ratios run by run."""
        pairs = zip(self.samples, other.samples, strict=True)
        return statistics.median(ours.seconds / theirs.seconds for ours, theirs in pairs)


def _environment() -> dict[str, str]:
    # An installed dfgen has bytecode on disk, so compilation must not be part of the measured start.
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(contestant: Contestant) -> Sample:
    """Run a command once; exit with its error output if it fails."""
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
    """Run all contestants in turn, `runs` times; return one series each."""
    rounds = [[run(one) for one in contestants] for _ in range(runs)]
    columns = zip(*rounds, strict=True)
    return tuple(
        Series(name=one.name, samples=tuple(column)) for one, column in zip(contestants, columns, strict=True)
    )
