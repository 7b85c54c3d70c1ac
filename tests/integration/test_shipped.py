"""The shipped Dockerfiles before BuildKit's own checks, and the wheel as a user installs it."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.integration.busybox import Published

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "bases").glob("*/*/Dockerfile_*"))

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_buildkit_warns_of_nothing(path: Path, parent: Published) -> None:
    line = next(line for line in path.read_text().splitlines() if line.startswith("FROM "))
    # The check looks the parent up; busybox stands in for it, so that no upstream registry is asked.
    stand_in = f"{line.split()[-1]}=docker-image://{parent.reference}"
    command = [
        "docker",
        "buildx",
        "build",
        "--check",
        "--build-context",
        stand_in,
        "-f",
        path,
        path.parents[1],
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "Check complete, no warnings found."), done.stderr


def test_the_wheel_brings_templates_and_the_example_catalog(tmp_path: Path) -> None:
    built = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "wheels"), str(ROOT)]
    subprocess.run(built, capture_output=True, check=True)
    (wheel,) = (tmp_path / "wheels").glob("dfgen-*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    # No compiler, and nothing that brings one: every library has a wheel.
    install = [tmp_path / "venv/bin/pip", "install", "--quiet", "--only-binary", ":all:", wheel]
    subprocess.run(install, check=True)
    dfgen = tmp_path / "venv/bin/dfgen"
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    subprocess.run([dfgen, "init"], cwd=catalog, check=True)
    subprocess.run([dfgen, "render", "--check"], cwd=catalog, check=True)
    assert (catalog / "templates/java-base.Dockerfile.j2").exists()
