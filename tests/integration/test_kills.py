"""Builds killed at random moments, 50 times: the next run resumes, and other tools can read the layout."""

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
    """The tags in the layout, after verifying the digest of every blob."""
    layout = Layout(dist)
    entries = layout.entries()
    assert all(layout.is_intact(entry, deep=True) for entry in entries.values())
    return sorted(entries)


def kill(work: Work, after: float) -> bool:
    """Kill a build after some seconds. Returns whether it was still running."""
    with subprocess.Popen(
        work.command("build"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.returncode == -9


def lane(work: Work, seed: int, kills: int) -> None:
    """Change a file, kill the build and build again, repeatedly."""
    work.prepare(CATALOG)
    work.run("build")
    moments = random.Random(seed)
    duration = 1.0  # of a build, in seconds
    for count in range(kills):
        # A changed parent also locks, renders and builds its child in the same run.
        name = "base" if count % 5 == 0 else "child"
        changes = 0
        while not changes or not kill(work, moments.uniform(0, duration)):
            changes += 1
            duration *= 1 if changes == 1 else 0.7
            work.write({f"bases/{name}/files/count": f"{count}.{changes}\n"})
        assert valid(work.root / "dist") == NAMES
        started = time.monotonic()
        work.run("build")
        duration = time.monotonic() - started
        assert valid(work.root / "dist") == NAMES
    for name in NAMES:
        read_back(work.root / "dist", name)
    work.run("build", "--locked")
    work.run("gc")
    assert list((work.root / "dist" / ".partial").iterdir()) == []
    assert valid(work.root / "dist") == NAMES


def test_after_a_kill_the_next_run_completes_the_layout(tmp_path: Path, parent: Published) -> None:
    works = [Work(tmp_path / f"lane-{seed}", parent) for seed in range(LANES)]
    with ThreadPoolExecutor(LANES) as lanes:
        list(lanes.map(lane, works, range(LANES), [KILLS // LANES] * LANES))
