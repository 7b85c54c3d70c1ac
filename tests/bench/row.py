"""A row of the table: what was measured, what it was to be, and whether the outputs were the same."""

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
    """What a row is measured with: a folder of its own, how often, and the peers that are there."""

    folder: Path
    runs: int
    peers: Peers

    @property
    def caches(self) -> Path:
        """Where dfgen remembers in this benchmark, and not among the user's own caches."""
        return self.folder / "caches"

    def forget(self) -> None:
        """Make it a machine on which dfgen has not run yet."""
        shutil.rmtree(self.caches, ignore_errors=True)

    @staticmethod
    def dfgen(root: Path, *words: str) -> tuple[str, ...]:
        """The command line of a dfgen in this environment, process start included."""
        return (sys.executable, "-m", "dfgen", "-C", str(root), *words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """A limit and what was measured: `what` says of which quantity."""

    what: str
    measured: float
    limit: float
    unit: str = ""
    at_least: bool = False

    @property
    def is_reached(self) -> bool:
        """Whether the measured value is on the right side of the limit."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def __str__(self) -> str:
        """Write `render / bare loop: 1.42 times (aim ≤ 1.5 times): reached`."""
        sign = "≥" if self.at_least else "≤"
        verdict = "reached" if self.is_reached else f"missed, {self.measured / self.limit:.2f} of the limit"
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.what}: {self.measured:.3g}{unit} (aim {sign} {self.limit:g}{unit}): {verdict}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one row found; `same` is whether the outputs were equivalent, `absent` the peers not to be had.

    A row without series and aims is left out: `absent` says for want of what.
    """

    title: str
    work: str
    series: Sequence[Series]
    aims: Sequence[Aim]
    same: bool = True
    absent: Sequence[str] = ()
    sizes: Mapping[int, Series] = field(default_factory=dict)

    @classmethod
    def left_out(cls, title: str, work: str, absent: Sequence[str]) -> Row:
        """A row that cannot be measured on this machine."""
        return cls(title=title, work=work, series=(), aims=(), absent=absent)
