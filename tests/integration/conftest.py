"""Fixtures of the integration tests: busybox parents, and catalogs in which `dfgen` runs as a program."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dfgen.engine.containers import TEST_LABEL, TEST_NAME
from dfgen.oci.layout import Layout
from tests.integration import busybox
from tests.integration.busybox import Published


@pytest.fixture(scope="session")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """Return the root file system layers of busybox by architecture."""
    return busybox.root_filesystems(tmp_path_factory.mktemp("busybox"))


@pytest.fixture(scope="session")
def parent(layers: Mapping[str, bytes]) -> Published:
    """Publish a parent for both architectures in the local registry."""
    name = f"dfgen-test/{uuid.uuid4().hex}"
    return busybox.publish(os.environ["DFGEN_DEMO_REGISTRY"], name, layers)


@dataclass
class Work:
    """A catalog in a folder, and the `dfgen` commands that run in it."""

    root: Path
    parent: Published
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, files: Mapping[str, str]) -> None:
        """Write files of the catalog; `PARENT` is replaced by the parent's reference."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("PARENT", self.parent.reference), encoding="utf-8")

    def command(self, *words: str) -> list[str]:
        """Return the command line of dfgen in this catalog."""
        return [sys.executable, "-m", "dfgen", "-C", str(self.root), *words]

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run dfgen and check its exit code."""
        done = subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            env={**os.environ, **self.environment},
            timeout=300,
            check=False,
        )
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
        return done

    def prepare(self, files: Mapping[str, str]) -> None:
        """Write, lock and render the catalog."""
        self.write(files)
        self.run("lock")
        self.run("render")


@pytest.fixture
def work(tmp_path: Path, parent: Published) -> Work:
    """Return an empty catalog."""
    return Work(tmp_path / "work", parent)


def record(work: Work) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((work.root / "dist" / "build.json").read_text())
    return found


def states(work: Work) -> dict[str, str]:
    return {image["name"]: image["state"] for image in record(work)["images"]}


def digests(work: Work) -> dict[str, str]:
    return {name: str(entry.digest) for name, entry in Layout(work.root / "dist").entries().items()}


def read_back(dist: Path, name: str) -> None:
    """Copy an image or index from a layout with skopeo, which verifies the digest of every blob."""
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed; run: apt-get install skopeo")
    with tempfile.TemporaryDirectory() as folder:
        # skopeo splits folder and name at the first colon, and the path of `dist` may contain one.
        (Path(folder) / "layout").symlink_to(dist)
        command = ["skopeo", "copy", "--all", f"oci:{folder}/layout:{name}", f"dir:{folder}/copy"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def leftovers() -> str:
    """Return the IDs of containers and images that smoke tests left in the engine; empty if there are none."""
    shown = ""
    for command in (
        ["docker", "ps", "-aq", "--filter", f"label={TEST_LABEL}"],
        ["docker", "images", "-q", TEST_NAME],
    ):
        shown += subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return shown


def copied(work: Work, name: str) -> Work:
    """Copy the catalog without its layout, like a checkout of the same commit on another machine."""
    root = work.root.parent / name
    shutil.copytree(work.root, root, ignore=shutil.ignore_patterns("dist"))
    return Work(root, work.parent, work.environment)
