"""kolla renders all of its own images in one process, one Dockerfile each."""

from __future__ import annotations

import shutil
from functools import partial

from tests.bench.measure import Contestant
from tests.bench.row import Bench


def contestant(bench: Bench) -> Contestant | None:
    """Return its command, with its own output folder; None if kolla is not available."""
    program = bench.peers.find("kolla-build")
    if program is None:
        return None
    folder = bench.folder / "kolla"
    return Contestant(
        name="kolla --template-only",
        command=(program, "--template-only", "--base", "debian", "--work-dir", str(folder)),
        before=partial(shutil.rmtree, folder, ignore_errors=True),
    )


def written(bench: Bench) -> int:
    """Return how many Dockerfiles it wrote."""
    return sum(1 for _ in (bench.folder / "kolla").rglob("Dockerfile"))
