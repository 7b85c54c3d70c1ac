"""Start: what a command costs before it does anything, and a check of the shipped catalog."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.bench.measure import Contestant, alternately
from tests.bench.row import Aim, Bench, Row

_PEERS = {"crane": ("version",), "cekit": ("--version",), "kolla-build": ("--version",)}
_SHIPPED = Path(__file__).parents[3]


def measure(bench: Bench) -> Row:
    """Measure the row."""
    programs = {name: bench.peers.find(name) for name in _PEERS}
    check = bench.dfgen(_SHIPPED, "render", "--check")
    contestants = [
        Contestant(name="dfgen --version", command=(sys.executable, "-m", "dfgen", "--version")),
        Contestant(name="dfgen render --check", command=check),
        Contestant(name="the same, nothing remembered", command=check, before=bench.forget),
    ]
    for name, words in _PEERS.items():
        if program := programs[name]:
            contestants.append(Contestant(name=" ".join((name, *words)), command=(program, *words)))
    version, again, new, *others = alternately(contestants, max(bench.runs, 7))
    return Row(
        title="start",
        work="`--version`, and `render --check` on the shipped catalog",
        series=(version, new, again, *others),
        aims=[
            Aim(what="dfgen --version", measured=version.seconds, limit=0.12, unit="s"),
            Aim(what="dfgen render --check, nothing remembered", measured=new.seconds, limit=0.35, unit="s"),
        ],
        absent=[name for name, program in programs.items() if program is None],
    )
