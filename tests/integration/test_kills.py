"""Builds killed at any moment, 50 times: each next run goes on, and the layout is valid for others as well."""

from __future__ import annotations

import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dfgen.oci.layout import Layout
from tests.integration.busybox import Published
from tests.integration.conftest import Work, read_back

pytestmark = pytest.mark.integration

KILLS, LANES = 50, 2  # each lane is a catalog of its own
CATALOG = {
    "bases/catalog.yaml": "registry: localhost\nplatforms: [amd64]\n",
    "templates/base.j2": "FROM {{ parent }}\nCOPY files/ /\n",
    "bases/base/base.yaml": "template: base.j2\nparent: PARENT\nversions: ['1']\n",
    "bases/base/files/count": "\n",
    "templates/child.j2": "FROM {{ parent }}\nCOPY files/ /\n",
    "bases/child/base.yaml": "template: child.j2\nparent: base:1\nversions: ['1']\n",
    "bases/child/files/count": "\n",
}
NAMES = ["base:1", "base:1-x86_64", "child:1", "child:1-x86_64"]


def valid(dist: Path) -> list[str]:
    """Name what the layout has, every blob of it held against its digest."""
    layout = Layout(dist)
    entries = layout.entries()
    assert all(layout.is_intact(entry, deep=True) for entry in entries.values())
    return sorted(entries)


def kill(work: Work, after: float) -> bool:
    """Kill a build after some seconds; says whether it was still running."""
    with subprocess.Popen(
        work.command("build"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.returncode == -9


def lane(work: Work, seed: int, kills: int) -> None:
    """Change something, kill the build of it and build again, over and over."""
    work.prepare(CATALOG)
    work.run("build")
    moments = random.Random(seed)
    whole = 1.0  # seconds that a build may take
    for count in range(kills):
        # A parent that changes takes its child along: locked, rendered and built anew, in the same run.
        name = "base" if count % 5 == 0 else "child"
        changes = 0
        while not changes or not kill(work, moments.uniform(0, whole)):
            changes += 1
            whole *= 1 if changes == 1 else 0.7
            work.write({f"bases/{name}/files/count": f"{count}.{changes}\n"})
        assert valid(work.root / "dist") == NAMES
        begun = time.monotonic()
        work.run("build")
        whole = time.monotonic() - begun
        assert valid(work.root / "dist") == NAMES
    for name in NAMES:
        read_back(work.root / "dist", name)
    work.run("build", "--locked")
    work.run("gc")
    assert list((work.root / "dist" / ".partial").iterdir()) == []
    assert valid(work.root / "dist") == NAMES


def test_after_any_kill_the_next_run_ends_with_a_valid_layout(tmp_path: Path, parent: Published) -> None:
    works = [Work(tmp_path / f"lane-{seed}", parent) for seed in range(LANES)]
    with ThreadPoolExecutor(LANES) as lanes:
        list(lanes.map(lane, works, range(LANES), [KILLS // LANES] * LANES))
