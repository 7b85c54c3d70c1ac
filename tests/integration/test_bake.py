"""The bake file of a plan, built by buildx alone: it gives the digests that dfgen gives."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dfgen.oci.layout import Layout
from tests.integration.catalogs import CATALOG, CHILD
from tests.integration.conftest import Work, copied, digests

pytestmark = pytest.mark.integration


def bake(root: Path, command: str) -> dict[str, str]:
    """Bake in a catalog's root without cache; gives each target's digest."""
    command = command.replace("-f FILE", "-f bake.json --no-cache")
    done = subprocess.run(
        command, cwd=root, shell=True, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    folders = sorted((root / "dist" / "bake").iterdir())
    return {folder.name: str(Layout(folder).descriptors()[0].digest) for folder in folders}


def test_baked_images_have_the_digests_of_those_that_dfgen_builds(work: Work) -> None:
    work.prepare({**CATALOG, **CHILD})
    work.run("build")
    planned = work.run("plan", "--format", "bake")
    (work.root / "bake.json").write_text(planned.stdout)
    told = planned.stderr.splitlines()[0]
    waves = "docker buildx bake -f FILE wave-1 && docker buildx bake -f FILE wave-2"
    assert told == f"build with `{waves}`"
    built = digests(work)
    assert bake(work.root, waves) == {
        "base-1_0-amd64": built["base:1.0-x86_64"],
        "base-1_0-arm64": built["base:1.0-aarch64"],
        "child-2-amd64": built["child:2-x86_64"],
        "child-2-arm64": built["child:2-aarch64"],
    }
    last = copied(work, "last")
    last.run("join", *(str(folder) for folder in sorted((work.root / "dist" / "bake").iterdir())))
    assert digests(last) == built
    # What was baked has not been tested yet: that is all that the next build does.
    last.run("build", "--locked")
    logs = [log.read_text() for log in (last.root / "dist" / "logs").iterdir()]
    assert len(logs) == 4
    assert not any("load build definition" in log for log in logs)
    assert digests(last) == built
    # The same images, brought in again by bake's layouts, are still those that were tested.
    last.run("join", *(str(folder) for folder in sorted((work.root / "dist" / "bake").iterdir())))
    assert "0 of 4 images to build" in last.run("plan").stderr


def test_provenance_that_bake_writes_is_joined_beside_the_same_images(work: Work) -> None:
    work.prepare({**CATALOG, **CHILD, "bases/catalog.yaml": "registry: localhost\nprovenance: true\n"})
    work.run("build")
    (work.root / "bake.json").write_text(work.run("plan", "--format", "bake").stdout)
    bake(work.root, "docker buildx bake -f FILE wave-1 && docker buildx bake -f FILE wave-2")
    last = copied(work, "last")
    last.run("join", *(str(folder) for folder in sorted((work.root / "dist" / "bake").iterdir())))
    built, joined = digests(work), digests(last)
    images = [name for name in built if name.endswith(("-x86_64", "-aarch64"))]
    assert [joined[name] for name in images] == [built[name] for name in images]
    # An index binds the attestations, which tell when and where they were made.
    assert joined["base:1.0"] != built["base:1.0"]
    layout = Layout(last.root / "dist")
    for name in images:
        (beside,) = layout.attestations(layout.entries()[name].digest)
        assert layout.is_intact(beside, deep=True)
