"""Growth: time and memory of a render by number of versions."""

from __future__ import annotations

from functools import partial

from tests.bench.measure import Contestant, Series, alternately
from tests.bench.row import Bench, Row, Target
from tests.bench.rows.render import fresh

SIZES = (100, 1000, 10_000)


def _one(bench: Bench, versions: int) -> Series:
    root = bench.folder / "growth"
    contestant = Contestant(
        name=f"dfgen render, {versions:,} versions",
        command=bench.dfgen(root, "render"),
        before=partial(fresh, root, versions),
    )
    (series,) = alternately([contestant], bench.runs)
    return series


def measure(bench: Bench) -> Row:
    """Measure the row, one size after the other."""
    sizes = {versions: _one(bench, versions) for versions in SIZES}
    largest = sizes[SIZES[-1]]
    factor = largest.seconds / sizes[SIZES[-2]].seconds
    return Row(
        title="growth",
        work="100, 1,000 and 10,000 versions for two architectures, nothing rendered yet",
        series=tuple(sizes.values()),
        targets=[
            Target(what="time, 10,000 versions", measured=largest.seconds, limit=8, unit="s"),
            Target(what="memory, 10,000 versions", measured=largest.memory, limit=400, unit="MiB"),
            Target(what="time, 10,000 versions / 1,000 versions", measured=factor, limit=11, unit="times"),
        ],
        sizes=sizes,
    )
