"""kolla, which renders all of its images in one process: its own templates, a Dockerfile each."""

from __future__ import annotations

import shutil
from functools import partial

from tests.bench.measure import Contestant
from tests.bench.row import Bench


def contestant(bench: Bench) -> Contestant | None:
    """Its command, in a folder of its own; None where it could not be had."""
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
    """How many Dockerfiles it wrote."""
    return sum(1 for _ in (bench.folder / "kolla").rglob("Dockerfile"))
