"""`dfgen load`: what is built runs in the local engine under its tags, on both architectures."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.integration.catalogs import CATALOG
from tests.integration.conftest import Work, digests

pytestmark = pytest.mark.integration

HERE = "localhost/dfgen-load-test"
TAGS = ("base:1.0-x86_64", "base:1.0-aarch64", "base:1.0")


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def built(work: Work) -> Iterator[Work]:
    work.prepare({**CATALOG, "bases/catalog.yaml": f"registry: {HERE}\n"})
    work.run("build")
    yield work
    docker("rmi", "--force", *docker("images", "--quiet", "--filter", f"reference={HERE}/base").split())


def test_what_is_loaded_runs_under_its_tags_on_both_architectures(built: Work) -> None:
    done = built.run("load", "base")
    assert done.stderr.splitlines() == [
        f"docker run --rm -it --platform linux/amd64 {HERE}/base:1.0-x86_64",
        f"docker run --rm -it --platform linux/arm64 {HERE}/base:1.0-aarch64",
        f"docker run --rm -it {HERE}/base:1.0",
    ]
    for line, machine in zip(done.stderr.splitlines(), ("x86_64", "aarch64"), strict=False):
        words = line.replace(" -it", "").split()[1:]
        assert docker(*words, "cat", "/arch") == machine
    for platform, machine in (("linux/amd64", "x86_64"), ("linux/arm64", "aarch64")):
        assert docker("run", "--rm", "--platform", platform, f"{HERE}/base:1.0", "uname", "-m") == machine
    digest = {tag: docker("inspect", "--format", "{{.Id}}", f"{HERE}/{tag}") for tag in TAGS}
    assert digest == digests(built)


def test_without_an_engine_one_line_says_what_to_do(built: Work) -> None:
    built.environment["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    done = built.run("load", "base@arm64", code=3)
    assert done.stderr.splitlines() == [
        "cannot connect to the Docker engine at unix:///nowhere/docker.sock; start it, or select"
        " another one with DOCKER_HOST or `docker context use`"
    ]
    del built.environment["DOCKER_HOST"]
    built.run("load", "base@arm64")
    assert docker("images", "--format", "{{.Tag}}", f"{HERE}/base") == "1.0-aarch64"
