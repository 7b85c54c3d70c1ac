"""Start: the start-up time of a command, and a check of the example catalog."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.bench.measure import Contestant, alternately
from tests.bench.row import Bench, Row, Target

_PEERS = {"crane": ("version",), "cekit": ("--version",), "kolla-build": ("--version",)}
_SHIPPED = Path(__file__).parents[3]


def measure(bench: Bench) -> Row:
    """Measure the row."""
    programs = {name: bench.peers.find(name) for name in _PEERS}
    check = bench.dfgen(_SHIPPED, "render", "--check")
    contestants = [
        Contestant(name="dfgen --version", command=(sys.executable, "-m", "dfgen", "--version")),
        Contestant(name="dfgen render --check", command=check),
        Contestant(name="dfgen render --check, without the cache", command=check, before=bench.clear_cache),
    ]
    for name, words in _PEERS.items():
        if program := programs[name]:
            contestants.append(Contestant(name=" ".join((name, *words)), command=(program, *words)))
    version, again, new, *others = alternately(contestants, max(bench.runs, 7))
    return Row(
        title="start",
        work="`--version`, and `render --check` on the example catalog",
        series=(version, new, again, *others),
        targets=[
            Target(what="dfgen --version", measured=version.seconds, limit=0.12, unit="s"),
            Target(
                what="dfgen render --check, without the cache", measured=new.seconds, limit=0.35, unit="s"
            ),
        ],
        absent=[name for name, program in programs.items() if program is None],
    )
