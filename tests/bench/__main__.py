"""Run the rows of the benchmark, and write docs/benchmarks.md and its chart.

Exits with 1 if the outputs of the contestants in a row differ.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench import chart, peers, report
from tests.bench.row import Bench, Row
from tests.bench.rows import (
    again,
    build,
    check,
    edit,
    growth,
    install,
    lock,
    merge,
    publish,
    render,
    start,
    unchanged,
)

RUNS = 5
_MODULES = (render, again, growth, edit, check, start, install, lock, merge, publish, build, unchanged)
ROWS = {module.__name__.rpartition(".")[2]: module for module in _MODULES}
_DOCS = Path(__file__).parents[2] / "docs"


def _print(row: Row) -> None:
    print(f"{row.title}: {row.work}")
    for one in row.series:
        fastest, slowest = one.spread
        print(
            f"  {one.name:34} {one.seconds:7.3f} s  ({fastest:.3f} to {slowest:.3f})  {one.memory:4.0f} MiB"
        )
    for target in row.targets:
        print(f"  {target}")
    print("" if row.same else "  THE OUTPUTS DIFFER\n", flush=True, end="")


def main(runs: int, only: Sequence[str]) -> int:
    """Run all rows, print each and write the page; with `only`, run and print just those rows."""
    chosen = {name: row for name, row in ROWS.items() if not only or name in only}
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(folder=Path(name), runs=runs, peers=peers.install())
        os.environ["XDG_CACHE_HOME"] = str(bench.cache_folder)
        rows: list[Row] = []
        for module in chosen.values():
            rows.append(module.measure(bench))
            _print(rows[-1])
        if not only:
            _write(bench, rows)
    return 0 if all(row.same for row in rows) else 1


def _write(bench: Bench, rows: Sequence[Row]) -> None:
    _DOCS.mkdir(exist_ok=True)
    sizes = next(row.sizes for row in rows if row.sizes)
    (_DOCS / "benchmarks.svg").write_text(chart.draw(sizes), encoding="utf-8")
    page = report.page(bench, rows, report.notes(), "benchmarks.svg")
    (_DOCS / "benchmarks.md").write_text(page, encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").strip())
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"Run only these rows: {', '.join(ROWS)}.")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"Runs per contestant (default: {RUNS}).")
    found = parser.parse_args()
    if unknown := set(found.rows) - set(ROWS):
        parser.error(f"unknown row {', '.join(sorted(unknown))}; supported: {', '.join(ROWS)}")
    return found


if __name__ == "__main__":
    arguments = _arguments()
    sys.exit(main(arguments.runs, arguments.rows))
