"""The context files that dfgen hashes are those that BuildKit copies: the same Dockerfiles through both."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

import pytest

from dfgen.catalog.context import ContextReader
from dfgen.values.errors import InputError
from tests.unit.models import AMD64, family, image

pytestmark = pytest.mark.integration

FILES = ("a.txt", "b.txt", "files/one", "files/sub/two", "files/sub/deep/three", "bin/run", ".hidden", "x[1]")
LINKS = {
    "current": "files/sub",
    "absolute": "/files/one",
    "out": "../secret",
    "climbing": "../../../files/one",
    "files/up": "../a.txt",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    context = tmp_path / "bases" / "a" / "ctx"
    for name in FILES:
        path = context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    for name, target in LINKS.items():
        (context / name).symlink_to(target)
    (tmp_path / "bases" / "a" / "secret").write_text("secret")
    return tmp_path


def copied(root: Path, dockerfile: Path) -> set[str] | None:
    """Build with BuildKit and list the names that it copied; None when it refused."""
    target = root / "out"
    command = [
        "docker",
        "buildx",
        "build",
        "--output",
        f"type=local,dest={target}",
        "--file",
        str(dockerfile),
    ]
    done = subprocess.run(
        [*command, str(root / "bases" / "a" / "ctx")], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return None
    return {path.name for path in (target / "x").rglob("*") if path.is_symlink() or not path.is_dir()}


def hashed(root: Path) -> set[str] | None:
    """List the names of the files that dfgen hashes; None when it refuses."""
    one = image("a", AMD64, family=family("a", context=PurePosixPath("bases/a/ctx")))
    try:
        files = ContextReader(root).inputs(one, {}).files
    except InputError:
        return None
    return {PurePosixPath(path).name for path, text in files.items() if not text.startswith("folder")}


@pytest.mark.parametrize(
    ("instruction", "ignored"),
    [
        ("COPY . /x/", ""),
        ("COPY a.txt files/one /x/", ""),
        ("COPY files /x/", ""),
        ("COPY files/ /x/", ""),
        ("COPY *.txt /x/", ""),
        ("COPY ?.txt /x/", ""),
        ("COPY [^b].txt /x/", ""),
        ("COPY x[[]1] /x/", ""),
        ("COPY f*s/s* /x/", ""),
        ("COPY a.txt no*thing /x/", ""),
        ("COPY ../a.txt /x/", ""),
        ("COPY nothing /x/", ""),
        ("COPY ../secret /x/", ""),
        ("COPY out /x/", ""),
        ('COPY ["a.txt", "b.txt", "/x/"]', ""),
        ("COPY . /x/", "*.txt\nfiles\n!files/sub/two\n"),
        ("COPY . /x/", "files/**\n!files/sub\n"),
        ("COPY . /x/", "# comment\n/bin\n./a.txt\n**/deep\n"),
        ("COPY . /x/", "*\n!*.txt\n!files/*\n"),
        ("COPY files /x/", "**/t*\n"),
        ("COPY a.txt /x/", "a.txt\n"),
        ("COPY *.txt /x/", "a.*\n"),
    ],
)
def test_the_same_files_are_hashed_and_copied(root: Path, instruction: str, ignored: str) -> None:
    dockerfile = root / "bases" / "a" / "1" / "Dockerfile_amd64"
    dockerfile.parent.mkdir(parents=True)
    dockerfile.write_text(f"FROM scratch\n{instruction}\n")
    if ignored:
        (root / "bases" / "a" / "ctx" / ".dockerignore").write_text(ignored)
    assert hashed(root) == copied(root, dockerfile)


@pytest.mark.parametrize("source", ["current/", "absolute", "climbing", "current/two", "files/up"])
def test_a_link_that_buildkit_follows_counts_with_what_it_leads_to(root: Path, source: str) -> None:
    dockerfile = root / "bases" / "a" / "1" / "Dockerfile_amd64"
    dockerfile.parent.mkdir(parents=True)
    dockerfile.write_text(f"FROM scratch\nCOPY {source} /x/\n")
    found = hashed(root)
    assert copied(root, dockerfile)
    # Each file holds its own path, by which it is known wherever it was copied to.
    texts = {path.read_text() for path in (root / "out" / "x").rglob("*") if path.is_file()}
    assert found
    assert {PurePosixPath(text).name for text in texts} <= found
