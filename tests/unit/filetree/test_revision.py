"""Two trees: common contents are read once, and only differences are read from git."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from dfgen.filetree.git import Git
from dfgen.filetree.revision import Checkout, ContentCache, Revision
from tests.unit import repositories
from tests.unit.repositories import commit

_PARTS = ("bases", "templates")
_AMD64, _ARM64 = (f"bases/app/1.0/Dockerfile_{name}" for name in ("amd64", "arm64"))


class Counting(Git):
    """A repository that records the contents read from it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.read: list[str] = []

    def contents(self, blobs: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        names = list(blobs)
        self.read += names
        return super().contents(names)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a catalog at its top."""
    return repositories.repository(tmp_path, folder=".")


def _both(root: Path, git: Git) -> tuple[Checkout, Revision]:
    cache = ContentCache(git)
    return Checkout(root, cache, git), Revision(git, git.commit("HEAD"), cache)


def test_only_what_differs_is_read_from_git(root: Path) -> None:
    git = Counting(root)
    folder, revision = _both(root, git)
    (root / _ARM64).write_text("FROM scratch\n")
    paths = folder.paths(_PARTS)
    assert revision.paths(_PARTS) == paths
    now = folder.texts(paths)
    was = revision.texts(paths)
    assert git.read == [repositories.git(root, "rev-parse", f"HEAD:{_ARM64}")]
    assert {path for path in paths if was[path] != now[path]} == {_ARM64}
    assert was[_AMD64] is now[_AMD64]  # and kept once


def test_only_what_differs_in_contexts_is_read_from_git(root: Path) -> None:
    git = Counting(root)
    (root / "bases/app/files/b").write_text("b")
    commit(root)
    folder, revision = _both(root, git)
    (root / "bases/app/files/b").write_text("c")
    paths = folder.paths(_PARTS)
    now, was = folder.fingerprints(paths), revision.fingerprints(revision.paths(_PARTS))
    assert git.read == [repositories.git(root, "rev-parse", "HEAD:bases/app/files/b")]
    assert {path for path in paths if was[path] != now[path]} == {"bases/app/files/b"}


def test_a_folder_without_a_repository_is_read_completely(root: Path) -> None:
    (root / ".gitignore").write_text("ignored\n")
    (root / "bases/app/ignored").write_text("")
    (root / "bases/app/.git").mkdir()
    (root / "bases/app/.git/config").write_text("")
    alone, known = Checkout(root, ContentCache()).paths(_PARTS), _both(root, Git(root))[0].paths(_PARTS)
    assert set(alone) - set(known) == {"bases/app/ignored"}
    assert (set(known) - set(alone), known) == (set(), sorted(known))


def test_links_are_followed_within_a_revision(root: Path, tmp_path: Path) -> None:
    links = {"a": "b", "b": "../templates/t.j2", "loop": "loop", "out": "../../../etc/passwd", "folder": "."}
    for name, to in links.items():
        (root / f"templates/{name}").symlink_to(to)
    commit(root)
    revision = _both(root, Git(root))[1]
    paths = revision.paths(["templates"])
    assert [path for path in paths if revision.is_external_link(path)] == [
        f"templates/{name}" for name in ("folder", "loop", "out")
    ]
    texts = revision.texts(paths)
    assert set(texts) == {"templates/a", "templates/b", "templates/t.j2"}
    assert set(texts.values()) == {repositories.TEMPLATE}
    revision.write(paths, tmp_path / "to")
    written = [path for path in (tmp_path / "to/templates").iterdir() if not path.is_symlink()]
    assert {f"templates/{path.name}": path.read_text() for path in written} == texts
