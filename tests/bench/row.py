"""A row of the benchmark: its measurements, its targets, and whether all outputs were equivalent."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.measure import Series
from tests.bench.peers import Peers


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The settings of a run: a scratch folder, the number of runs, and the other tools."""

    folder: Path
    runs: int
    peers: Peers

    @property
    def cache_folder(self) -> Path:
        """dfgen's cache folder during the benchmark, instead of the user's."""
        return self.folder / "caches"

    def clear_cache(self) -> None:
        """Delete dfgen's cache, as on a machine where dfgen never ran."""
        shutil.rmtree(self.cache_folder, ignore_errors=True)

    @staticmethod
    def dfgen(root: Path, *words: str) -> tuple[str, ...]:
        """Return the command line of dfgen in this Python environment."""
        return (sys.executable, "-m", "dfgen", "-C", str(root), *words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A measured quantity and the limit that it should keep; `what` names the quantity."""

    what: str
    measured: float
    limit: float
    unit: str
    at_least: bool = False

    @property
    def is_reached(self) -> bool:
        """Whether the measured value keeps the limit."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    @property
    def result(self) -> str:
        """The measured value with its target: `dfgen / bare loop: 1.42 times (target ≤ 1.75 times)`."""
        sign = "≥" if self.at_least else "≤"
        return f"{self.what}: {self.measured:.3g} {self.unit} (target {sign} {self.limit:g} {self.unit})"

    def __str__(self) -> str:
        """Return the result and whether the target was reached or missed."""
        return f"{self.result}: {'reached' if self.is_reached else 'missed'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The result of one row: `same` if all outputs were equivalent, `absent` the tools that are not available.

    A row without series and targets was left out; `absent` then lists what it needs.
    """

    title: str
    work: str
    series: Sequence[Series]
    targets: Sequence[Target]
    same: bool = True
    absent: Sequence[str] = ()
    sizes: Mapping[int, Series] = field(default_factory=dict)

    @classmethod
    def left_out(cls, title: str, work: str, absent: Sequence[str]) -> Row:
        """Return a row that cannot be measured on this machine because of what is absent."""
        return cls(title=title, work=work, series=(), targets=(), absent=absent)
