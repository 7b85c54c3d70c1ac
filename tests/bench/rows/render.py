"""Render: a thousand versions for two architectures, against the bare loop and against distgen a Dockerfile."""

from __future__ import annotations

import shutil
import sys
from functools import partial
from pathlib import Path

from tests.bench import distgen
from tests.bench.catalog import make
from tests.bench.counts import count
from tests.bench.measure import Contestant, alternately
from tests.bench.row import Aim, Bench, Row

VERSIONS = 1000


def is_same(root: Path) -> bool:
    """Whether both wrote the same, header aside: everything from the first FROM on."""
    bare = {path.relative_to(root / "bare"): path for path in (root / "bare").rglob("Dockerfile_*")}
    ours = {path.relative_to(root / "bases"): path for path in (root / "bases").rglob("Dockerfile_*")}
    return bare.keys() == ours.keys() and all(
        "FROM " + ours[name].read_text().partition("\nFROM ")[2] == bare[name].read_text() for name in bare
    )


def fresh(root: Path, versions: int) -> None:
    """Make the catalog anew: nothing is rendered."""
    shutil.rmtree(root, ignore_errors=True)
    make(root, versions)


def _without_bare(root: Path) -> None:
    shutil.rmtree(root / "bare", ignore_errors=True)


def measure(bench: Bench) -> Row:
    """Measure the row."""
    root = bench.folder / "render"
    bare = (sys.executable, "-m", "tests.bench.bare", str(root), str(VERSIONS))
    contestants = [
        Contestant(
            name="dfgen render", command=bench.dfgen(root, "render"), before=partial(fresh, root, VERSIONS)
        ),
        Contestant(name="bare Jinja2 loop", command=bare, before=partial(_without_bare, root)),
    ]
    peer = distgen.contestant(bench)
    ours, limit, *others = alternately([*contestants, *([peer] if peer else [])], bench.runs)
    aims = [Aim(what="dfgen / bare loop", measured=ours.ratio(limit), limit=1.5, unit="times")]
    for other in others:
        faster = other.seconds / (ours.seconds / (2 * VERSIONS))
        aims.append(
            Aim(what="distgen / dfgen, a Dockerfile", measured=faster, limit=100, unit="times", at_least=True)
        )
    same = is_same(root) and (peer is None or distgen.is_same(bench, root / "bare"))
    return Row(
        title="render",
        work=f"{VERSIONS:,} versions for two architectures, nothing rendered yet",
        series=(ours, limit, *others),
        aims=aims,
        same=same,
        absent=() if peer else ("distgen",),
        counts=count(root, "render", "--check"),
    )
