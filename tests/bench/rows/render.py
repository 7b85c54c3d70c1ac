"""Render: 1,000 versions for two architectures, compared with a bare Jinja2 loop and, per Dockerfile, other tools."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from tests.bench import cekit, distgen, kolla
from tests.bench.catalog import make
from tests.bench.measure import Contestant, alternately
from tests.bench.row import Bench, Row, Target

VERSIONS = 1000
_OTHERS = {"distgen": distgen, "cekit": cekit, "kolla": kolla}


def is_same(root: Path) -> bool:
    """Return whether dfgen and the bare loop wrote the same from the first FROM on."""
    bare = {path.relative_to(root / "bare"): path for path in (root / "bare").rglob("Dockerfile_*")}
    ours = {path.relative_to(root / "bases"): path for path in (root / "bases").rglob("Dockerfile_*")}
    return bare.keys() == ours.keys() and all(
        "FROM " + ours[name].read_text().partition("\nFROM ")[2] == bare[name].read_text() for name in bare
    )


def fresh(root: Path, versions: int) -> None:
    """Write a new catalog; nothing is rendered."""
    shutil.rmtree(root, ignore_errors=True)
    make(root, versions)


def _without_bare(root: Path) -> None:
    shutil.rmtree(root / "bare", ignore_errors=True)


def _kolla_note(written: Mapping[str, int]) -> str:
    return (
        f"; kolla renders {written['kolla']} Dockerfiles from its own templates" if "kolla" in written else ""
    )


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
    others = {name: one for name, module in _OTHERS.items() if (one := module.contestant(bench))}
    ours, limit, *theirs = alternately([*contestants, *others.values()], bench.runs)
    written = {name: _OTHERS[name].written(bench) for name in others}
    per_file = ours.seconds / (2 * VERSIONS)
    targets = [Target(what="dfgen / bare loop", measured=ours.ratio(limit), limit=1.75, unit="times")]
    for (name, number), series in zip(written.items(), theirs, strict=True):
        faster = series.seconds / max(number, 1) / per_file
        what = f"{name} / dfgen, per Dockerfile"
        targets.append(Target(what=what, measured=faster, limit=100, unit="times", at_least=True))
    return Row(
        title="render",
        work=f"{VERSIONS:,} versions for two architectures, nothing rendered yet{_kolla_note(written)}",
        series=(ours, limit, *theirs),
        targets=targets,
        same=is_same(root) and all(written.values()),
        absent=[name for name in _OTHERS if name not in others],
    )
