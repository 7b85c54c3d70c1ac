"""Render again: nothing has changed, and nothing is written."""

from __future__ import annotations

from functools import partial

from tests.bench.measure import Contestant, alternately
from tests.bench.row import Aim, Bench, Row
from tests.bench.rows.render import VERSIONS, fresh


def measure(bench: Bench) -> Row:
    """Measure the row: cold and again, in turn."""
    root = bench.folder / "again"
    command = bench.dfgen(root, "render")
    cold, again = alternately(
        [
            Contestant(name="dfgen render, cold", command=command, before=partial(fresh, root, VERSIONS)),
            Contestant(name="dfgen render, again", command=command),
        ],
        bench.runs,
    )
    return Row(
        title="render again",
        work="the same, nothing changed",
        series=(again, cold),
        aims=[Aim(what="again", measured=again.seconds, limit=0.5, unit="s")],
    )
