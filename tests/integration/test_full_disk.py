"""A disk that is full in the middle of a build: said with what to do, nothing is broken, the next run goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dfgen.oci.layout import Layout
from tests.integration.conftest import Work, read_back, record, states

pytestmark = pytest.mark.integration

CATALOG = {
    "bases/catalog.yaml": "registry: localhost\nplatforms: [amd64]\n",
    "templates/big.j2": (
        "FROM {{ parent }}\nRUN dd if=/dev/urandom of=/big bs=1M count={{ version }} && touch -d @0 /big\n"
    ),
    "bases/big/base.yaml": "template: big.j2\nparent: PARENT\nversions: ['1', '8']\n",
}
FIRST = ["big:1", "big:1-x86_64"]
SMALL, LARGE = "size=6m", "remount,size=64m"


@pytest.fixture
def dist(work: Work) -> Iterator[Path]:
    """Give a dist/ on a disk of its own, which holds one image and not two."""
    if os.geteuid():
        pytest.skip("only root can mount a disk of its own")
    path = work.root / "dist"
    path.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", SMALL, "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


def images(dist: Path) -> list[str]:
    """Name what the layout has, each with blobs that are what their digests say, for a foreign tool too."""
    layout = Layout(dist)
    assert all(layout.is_intact(entry, deep=True) for entry in layout.entries().values())
    names = sorted(layout.entries())
    for name in names:
        read_back(dist, name)
    return names


def test_a_disk_that_fills_in_the_middle_is_named_and_the_next_run_goes_on(work: Work, dist: Path) -> None:
    work.prepare(CATALOG)
    done = work.run("build", "-j", "1", code=3)
    why = (
        f"the build was aborted: {dist}: no space left on device; free up space (for example with `dfgen gc`)"
    )
    log = dist / "logs" / "big-8-amd64.log"
    assert f"\nbases/big/8/Dockerfile_amd64: {why}, then rebuild; log: {log}\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((dist / ".partial").iterdir()) == []
    assert images(dist) == FIRST

    subprocess.run(["mount", "-o", LARGE, dist], check=True)
    work.run("build")
    assert states(work) == {"big:1@amd64": "up to date", "big:8@amd64": "built"}
    assert images(dist) == [*FIRST, "big:8", "big:8-x86_64"]


def test_a_disk_that_was_full_before_costs_neither_the_layout_nor_the_summary(work: Work, dist: Path) -> None:
    work.prepare(CATALOG)
    work.run("build", "big:1")
    with (dist / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(4096))
    before = record(work)
    done = work.run("build", code=3)
    full = "cannot be written: No space left on device"
    assert f"{dist / 'build.json'}: {full}\n" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("1 up to date, 1 failed in ")
    assert "Traceback" not in done.stderr
    assert record(work) == before
    assert images(dist) == FIRST

    (dist / "filler").unlink()
    subprocess.run(["mount", "-o", LARGE, dist], check=True)
    work.run("build")
    assert states(work) == {"big:1@amd64": "up to date", "big:8@amd64": "built"}
