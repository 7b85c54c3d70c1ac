"""One edit: one family of a catalog of a thousand versions is rendered."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.bench.measure import Contestant, alternately
from tests.bench.row import Aim, Bench, Row
from tests.bench.rows.render import VERSIONS, fresh


def _edit(root: Path) -> None:
    """Give a family another variable, so that a render of it has something to look at."""
    base = root / "bases/family-3/base.yaml"
    text = base.read_text(encoding="utf-8")
    base.write_text(text.replace("packages: [curl, git]", "packages: [curl, git, jq]"), encoding="utf-8")
    if text == base.read_text(encoding="utf-8"):
        base.write_text(text.replace("packages: [curl, git, jq]", "packages: [curl, git]"), encoding="utf-8")


def measure(bench: Bench) -> Row:
    """Measure the row: one family and all, in turn."""
    root = bench.folder / "edit"
    fresh(root, VERSIONS)
    again = bench.dfgen(root, "render")
    one, full = alternately(
        [
            Contestant(
                name="dfgen render FAMILY",
                command=bench.dfgen(root, "render", "family-3"),
                before=partial(_edit, root),
            ),
            Contestant(name="dfgen render, all", command=again, before=partial(_edit, root)),
        ],
        bench.runs,
    )
    return Row(
        title="one edit",
        work=f"one of ten families of {VERSIONS:,} versions is edited and rendered",
        series=(one, full),
        aims=[Aim(what="one family", measured=one.seconds, limit=0.4, unit="s")],
    )
