"""A git repository with a catalog whose parent changes, and fakes of the programs on a CI runner."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.fakes import gh
from tests.fakes.images import ARM64, image, index_of
from tests.fakes.registry import FakeRegistry
from tests.unit.catalogs import write
from tests.unit.cli.run import dfgen

PARENT_MOVED = b"second"
WORKFLOW = Path(__file__).parents[3] / "docs/workflows/github.yml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The repository that jobs clone, and the registry of its parent."""

    root: Path
    registry: FakeRegistry
    programs: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that a runner sets for every step."""
        path = os.pathsep.join([str(self.programs), str(Path(sys.executable).parent), os.environ["PATH"]])
        home = {"HOME": str(self.programs), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
        return {"PATH": path, "PYTHONPATH": str(Path(__file__).parents[3]), **home}

    def publish(self, layer: bytes) -> None:
        """Publish the parent for both architectures, with this layer."""
        images = [image(layers=(layer,)), image(ARM64, layers=(layer,))]
        entries = [self.registry.add_image("team/os", one) for one in images]
        media_type = "application/vnd.oci.image.index.v1+json"
        self.registry.add_manifest("team/os", index_of(entries), media_type, tag="1")

    def add_lost_parent(self) -> None:
        """Commit another family whose parent no longer exists."""
        tags = self.registry.tags["team/os"]
        tags["lost"] = tags["1"]
        base = f"template: t.j2\nparent: {self.registry.address}/team/os:lost\nversions: ['1']\n"
        write(self.root, {"bases/lost/base.yaml": base})
        assert dfgen("-C", self.root, "lock").status == 0
        assert dfgen("-C", self.root, "render").status == 0
        self.commit("another family")
        del tags["lost"]

    @property
    def index(self) -> str:
        """The current digest of the parent."""
        return self.registry.tags["team/os"]["1"]

    def git(self, *words: str) -> str:
        """Run git in the repository, with a user name set; return its output."""
        name = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")
        command = ["git", *name, *words]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        """Commit all changes; return the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def program(self, name: str, text: str) -> None:
        """Write a program into the first folder of the steps' PATH."""
        path = self.programs / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IEXEC)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with FakeRegistry() as registry:
        found = Project(root=tmp_path / "origin", registry=registry, programs=tmp_path / "bin")
        found.programs.mkdir()
        found.program("pip", "#!/bin/sh\nexit 0\n")
        found.program("gh", f'#!/bin/sh\nexec {sys.executable} -P {gh.__file__} "$@"\n')
        found.publish(b"first")
        base = f"template: t.j2\nparent: {registry.address}/team/os:1\nversions: ['1']\n"
        write(found.root, {"bases/app/base.yaml": base})
        assert dfgen("-C", found.root, "lock").status == 0
        assert dfgen("-C", found.root, "render").status == 0
        found.git("init", "-q")
        found.commit("catalog")
        yield found


def workflow() -> Any:
    """Return the parsed docs/workflows/github.yml."""
    return YAML(typ="safe").load(WORKFLOW.read_text())
