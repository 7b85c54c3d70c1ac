"""One edit: render one changed family of a catalog with 1,000 versions."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.bench.measure import Contestant, alternately
from tests.bench.row import Bench, Row, Target
from tests.bench.rows.render import VERSIONS, fresh


def _edit(root: Path) -> None:
    """Change the packages of a family, back or forth, so that its Dockerfiles have to be rendered."""
    base = root / "bases/family-3/base.yaml"
    text = base.read_text(encoding="utf-8")
    base.write_text(text.replace("packages: [curl, git]", "packages: [curl, git, jq]"), encoding="utf-8")
    if text == base.read_text(encoding="utf-8"):
        base.write_text(text.replace("packages: [curl, git, jq]", "packages: [curl, git]"), encoding="utf-8")


def measure(bench: Bench) -> Row:
    """Measure the row: rendering only the family, and rendering all."""
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
        work=f"one of ten families is edited and rendered, in a catalog of {VERSIONS:,} versions",
        series=(one, full),
        targets=[Target(what="dfgen render FAMILY", measured=one.seconds, limit=0.4, unit="s")],
    )
