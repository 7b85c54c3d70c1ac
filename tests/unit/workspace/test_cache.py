"""The render cache: whatever has changed, a cached render has the result of a full one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.catalog import make
from tests.unit.cli.run import Done, dfgen
from tests.unit.counts import count

ONE = "bases/family-0/1.0/Dockerfile_amd64"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    folder = tmp_path / "catalog"
    make(folder, 3)
    assert dfgen("-C", folder, "render").lines[-1] == "6 of 6 Dockerfiles written, 0 unchanged"
    return folder


def is_cached(root: Path) -> bool:
    """Whether a check compiles no template."""
    return "templates compiled" not in count(root, "render", "--check")


def replaced(path: str, old: str, new: str) -> Callable[[Path], object]:
    """A change that replaces text in a file."""

    def change(root: Path) -> None:
        text = (root / path).read_text()
        assert old in text
        (root / path).write_text(text.replace(old, new))

    return change


def family(root: Path) -> None:
    shutil.copytree(root / "bases/family-0", root / "bases/other")
    for version in (root / "bases/other").glob("*.0"):
        shutil.rmtree(version)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a variable": replaced("bases/family-0/base.yaml", "{java: 1}", "{java: 2}"),
    "a pin": replaced("bases/lock.json", "2026-01-01", "2026-01-02"),
    "a template": replaced("templates/base.j2", "USER 1000", "USER 1001"),
    "a catalog": lambda root: (root / "bases/catalog.yaml").write_text("registry: r.example.com\n"),
    "a broken catalog": lambda root: (root / "bases/catalog.yaml").write_text("registry: [\n"),
    "another family": family,
    "no lock": lambda root: (root / "bases/lock.json").unlink(),
    "no template": lambda root: (root / "templates/base.j2").unlink(),
    "a hand edit": replaced(ONE, "USER 1000", "USER 0"),
    "a missing file": lambda root: (root / ONE).unlink(),
    "a file too many": lambda root: shutil.copytree(root / "bases/family-0/1.0", root / "bases/family-0/9.0"),
    "no family": lambda root: shutil.rmtree(root / "bases/family-0"),
}


def said(done: Done) -> tuple[int, str, str]:
    return done.status, done.out, done.err


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_changes_is_noticed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    assert dfgen("-C", root, "render", "--check").status == 0
    change(root)
    found = said(dfgen("-C", root, "render", "--check"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other caches"))
    assert said(dfgen("-C", root, "render", "--check")) == found


def test_a_reverted_change_is_cached_again(root: Path) -> None:
    assert is_cached(root)
    replaced(ONE, "USER 1000", "USER 0")(root)
    assert dfgen("-C", root, "render").status == 1
    replaced(ONE, "USER 0", "USER 1000")(root)
    assert is_cached(root)
    assert dfgen("-C", root, "render").lines == ["0 of 6 Dockerfiles written, 6 unchanged"]


def test_a_render_that_writes_is_cached(root: Path) -> None:
    replaced("templates/base.j2", "USER 1000", "USER 1001")(root)
    assert dfgen("-C", root, "render").lines[-1] == "6 of 6 Dockerfiles written, 0 unchanged"
    assert is_cached(root)


def test_a_link_among_the_templates_disables_the_cache(root: Path) -> None:
    shutil.move(root / "templates/base.j2", root / "templates/real.j2")
    (root / "templates/base.j2").symlink_to("real.j2")
    assert dfgen("-C", root, "render", "--check").status == 0
    assert not is_cached(root)


def test_without_a_cache_folder_everything_is_rendered(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert dfgen("-C", root, "render").lines == ["0 of 6 Dockerfiles written, 6 unchanged"]
    assert not is_cached(root)


@pytest.mark.parametrize("text", ["", "[]", "1", "{}", '{"inputs": 1}', "not JSON"])
def test_a_damaged_cache_is_ignored(root: Path, tmp_path: Path, text: str) -> None:
    (kept,) = (path for path in (tmp_path / "caches").rglob("*.json"))
    kept.write_text(text)
    assert dfgen("-C", root, "render").lines == ["0 of 6 Dockerfiles written, 6 unchanged"]
    assert is_cached(root)


def test_a_cache_that_cannot_be_written_is_ignored(root: Path, tmp_path: Path) -> None:
    (kept,) = (path for path in (tmp_path / "caches").rglob("*.json"))
    kept.unlink()
    kept.mkdir()
    done = dfgen("-C", root, "render")
    assert (done.status, done.lines) == (0, ["0 of 6 Dockerfiles written, 6 unchanged"])


def test_the_cache_has_no_names_of_the_catalog(root: Path, tmp_path: Path) -> None:
    kept = [path for path in (tmp_path / "caches").rglob("*") if path.is_file()]
    assert len(kept) == 1
    assert all(word not in kept[0].read_text() for word in ("family", "java", str(root)))


def test_without_a_home_folder_there_is_no_cache(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 2)
    assert dfgen("-C", root, "render").lines[-1] == "0 of 6 Dockerfiles written, 6 unchanged"
