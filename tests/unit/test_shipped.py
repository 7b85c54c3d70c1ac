"""The shipped catalog: rendered as committed, pinned, accepted by hadolint, and created by `dfgen init`."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "bases").glob("*/*/Dockerfile_*"))


def dfgen(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dfgen", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_committed_dockerfiles_equal_rendered_ones() -> None:
    done = dfgen("-C", str(ROOT), "render", "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_has_three_families_for_both_architectures() -> None:
    images = json.loads(dfgen("-C", str(ROOT), "--format", "json", "list").stdout)
    found = {(image["family"], image["platform"]) for image in images}
    families = ("centos-base", "java-base", "nginx-base")
    assert found == {(family, f"linux/{arch}") for family in families for arch in ("amd64", "arm64")}
    assert {image["state"] for image in images} == {"rendered"}


def test_architectures_differ_only_in_parents_and_declared_settings() -> None:
    for amd64 in (ROOT / "bases").glob("*/*/Dockerfile_amd64"):
        sides = [path.read_text().splitlines() for path in (amd64, amd64.with_name("Dockerfile_arm64"))]
        differing = [one for one, other in zip(*sides, strict=True) if one != other]
        known = (
            "# dfgen:sha256:",
            "FROM ",
            "LABEL org.opencontainers.image.base.digest",
            "        -e 's|^#* *baseurl",
        )
        assert [line for line in differing if not line.startswith(known)] == []


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sysconfig.get_path("scripts"), "hadolint")
    done = subprocess.run([hadolint, *DOCKERFILES], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_changed_template_line_is_shown(tmp_path: Path) -> None:
    assert dfgen("-C", str(tmp_path), "init").returncode == 0
    template = tmp_path / "templates/nginx-base.Dockerfile.j2"
    template.write_text(template.read_text().replace("EXPOSE 8080", "EXPOSE 8081"))
    done = dfgen("-C", str(tmp_path), "render", "--check", "--diff")
    assert done.returncode == 1
    assert done.stdout.count("-EXPOSE 8080\n+EXPOSE 8081\n") == 2
    wrong = "is out of date; run `dfgen render`"
    assert done.stderr.splitlines() == [
        f"bases/nginx-base/1.30/Dockerfile_{arch}: {wrong}" for arch in ("amd64", "arm64")
    ]


def test_init_creates_this_catalog(tmp_path: Path) -> None:
    assert dfgen("-C", str(tmp_path), "init").returncode == 0
    for name in ("bases", "templates"):
        ours = {
            path.relative_to(ROOT): path.read_bytes() for path in (ROOT / name).rglob("*") if path.is_file()
        }
        theirs = {
            path.relative_to(tmp_path): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        assert ours == theirs
    assert dfgen("-C", str(tmp_path), "render", "--check").returncode == 0


@pytest.mark.parametrize("path", DOCKERFILES, ids=str)
def test_each_platform_has_its_own_pin(path: Path) -> None:
    lock = json.loads((ROOT / "bases/lock.json").read_text())
    line = next(line for line in path.read_text().splitlines() if line.startswith("FROM "))
    platform, reference = line.removeprefix("FROM --platform=").split()
    parent, _, digest = reference.partition("@")
    assert platform == f"linux/{path.name.removeprefix('Dockerfile_')}"
    assert lock["parents"][parent]["platforms"][platform]["digest"] == digest
