"""`python -m tests.bench [RUNS]`: every row, the page docs/benchmarks.md and its picture.

A row whose outputs differ fails: exit code 1.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.bench import chart, peers, report
from tests.bench.row import Bench, Row
from tests.bench.rows import (
    again,
    build,
    check,
    edit,
    growth,
    lock,
    merge,
    publish,
    render,
    start,
    unchanged,
)

RUNS = 5
ROWS = (render, again, growth, edit, check, start, lock, merge, publish, build, unchanged)
_DOCS = Path(__file__).parents[2] / "docs"


def _tell(row: Row) -> None:
    print(f"{row.title}: {row.work}")
    for one in row.series:
        fastest, slowest = one.spread
        print(
            f"  {one.name:34} {one.seconds:7.3f} s  ({fastest:.3f} to {slowest:.3f})  {one.memory:4.0f} MiB"
        )
    for aim in row.aims:
        print(f"  {aim}")
    print("" if row.same else "  THE OUTPUTS DIFFER\n", flush=True, end="")


def main(runs: int) -> int:
    """Run the rows one after the other, print each and write the page."""
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(folder=Path(name), runs=runs, peers=peers.install())
        rows: list[Row] = []
        for module in ROWS:
            rows.append(module.measure(bench))
            _tell(rows[-1])
    _DOCS.mkdir(exist_ok=True)
    sizes = next(row.sizes for row in rows if row.sizes)
    (_DOCS / "benchmarks.svg").write_text(chart.draw(sizes), encoding="utf-8")
    page = report.text(bench, rows, report.notes(), "benchmarks.svg")
    (_DOCS / "benchmarks.md").write_text(page, encoding="utf-8")
    return 0 if all(row.same for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS))
