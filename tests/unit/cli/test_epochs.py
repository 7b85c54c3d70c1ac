"""The time of everything in an image: a number, or that of the last commit that touched its family."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dfgen.cli.app import App
from dfgen.model.lock import LOCK_FILE
from tests.unit.catalogs import FAMILY
from tests.unit.cli.run import dfgen
from tests.unit.repositories import commit, git
from tests.unit.review.world import put

_NUMBER = "write a number as source_date_epoch"


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Commit at a time: `at.setenv("GIT_COMMITTER_DATE", "@5000000 +0000")`."""
    monkeypatch.setenv("GIT_AUTHOR_DATE", "@1000000 +0000")  # an author's time does not count
    return monkeypatch


@pytest.fixture
def timed(catalog: Path, at: pytest.MonkeyPatch) -> Path:
    """The repository's catalog with times of commits, and a second family with a context elsewhere."""
    lib = f"{FAMILY}context: ../../shared\n"
    put(catalog, {"bases/catalog.yaml": "source_date_epoch: commit\n", "bases/lib/base.yaml": lib})
    put(catalog, {"templates/t.j2": "FROM {{ parent }}\nCOPY . /srv/\nUSER 1000\n", "shared/a": "a\n"})
    assert dfgen("-C", catalog, "render").status == 0
    _commit(catalog, at, 5_000_000)
    return catalog


def _commit(root: Path, at: pytest.MonkeyPatch, seconds: int) -> None:
    at.setenv("GIT_COMMITTER_DATE", f"@{seconds} +0000")
    commit(root)


def _epochs(root: Path) -> dict[str, int]:
    app = App(root=root, output="text")
    return {name: app.epochs.of(family) for name, family in app.catalog.families.items()}


def _baked(root: Path) -> dict[str, str]:
    """The times that a bake file gives, by target."""
    done = dfgen("-C", root, "plan", "--format", "bake")
    assert done.status == 0, done.err
    targets = json.loads(done.out)["target"]
    return {name: target["args"]["SOURCE_DATE_EPOCH"] for name, target in targets.items()}


def _refused(root: Path, status: int = 2) -> list[str]:
    done = dfgen("-C", root, "plan")
    assert (done.status, done.out) == (status, "")
    return done.err.splitlines()


def test_the_last_commit_that_touched_a_family_or_its_context(timed: Path, at: pytest.MonkeyPatch) -> None:
    assert _epochs(timed) == {"app": 5_000_000, "lib": 5_000_000}
    put(timed, {"bases/app/files/app.conf": "b\n"})
    assert _epochs(timed) == {"app": 5_000_000, "lib": 5_000_000}  # it is not committed
    _commit(timed, at, 6_000_000)
    assert _epochs(timed) == {"app": 6_000_000, "lib": 5_000_000}
    put(timed, {"shared/a": "b\n"})
    _commit(timed, at, 7_000_000)
    put(timed, {"README.md": "b\n", LOCK_FILE: (timed / LOCK_FILE).read_text() + "\n"})
    _commit(timed, at, 8_000_000)
    assert _epochs(timed) == {"app": 6_000_000, "lib": 7_000_000}
    assert _baked(timed) == {
        "app-1_0-amd64": "6000000",
        "app-1_0-arm64": "6000000",
        "lib-1_0-amd64": "7000000",
        "lib-1_0-arm64": "7000000",
    }


def test_a_merge_counts_only_where_it_changed_something(timed: Path, at: pytest.MonkeyPatch) -> None:
    git(timed, "checkout", "-qb", "side")
    put(timed, {"shared/a": "b\n"})
    _commit(timed, at, 6_000_000)
    git(timed, "checkout", "-q", "topic")
    put(timed, {"README.md": "b\n"})
    _commit(timed, at, 7_000_000)
    at.setenv("GIT_COMMITTER_DATE", "@8000000 +0000")
    git(timed, "merge", "-q", "--no-ff", "-m", "m", "side")
    assert _epochs(timed) == {"app": 5_000_000, "lib": 6_000_000}


def test_a_number_asks_no_git(timed: Path, tmp_path: Path, at: pytest.MonkeyPatch) -> None:
    at.setenv("PATH", str(tmp_path))
    put(timed, {"bases/catalog.yaml": "source_date_epoch: 7\n"})
    assert set(_baked(timed).values()) == {"7"}


def test_rendering_and_lint_ask_no_git(timed: Path, tmp_path: Path, at: pytest.MonkeyPatch) -> None:
    at.setenv("PATH", str(tmp_path))
    assert dfgen("-C", timed, "render", "--check").status == 0
    assert "git" not in dfgen("-C", timed, "lint").err
    assert _refused(timed, 3) == ["git cannot be run: No such file or directory; install git"]


def test_each_family_is_asked_for_once(timed: Path, tmp_path: Path, at: pytest.MonkeyPatch) -> None:
    log = tmp_path / "trace"
    at.setenv("GIT_TRACE", str(log))
    assert len(_baked(timed)) == 4
    asked = [line for line in log.read_text().splitlines() if "trace: built-in: git rev-list" in line]
    assert len(asked) == 2


def test_outside_of_a_repository(timed: Path, tmp_path: Path) -> None:
    alone = timed.rename(tmp_path / "alone")
    assert _refused(alone) == [f"{alone}: is in no git repository; {_NUMBER}"]


def test_a_family_that_was_never_committed(timed: Path) -> None:
    put(timed, {"bases/new/base.yaml": FAMILY})
    assert dfgen("-C", timed, "render").status == 0
    assert _refused(timed) == [f"bases/new/: no commit has any of its files; commit them, or {_NUMBER}"]


def test_a_repository_without_a_commit(timed: Path, tmp_path: Path) -> None:
    alone = timed.rename(tmp_path / "alone")
    git(alone, "init", "-q", "--template=")
    because = f"no commit has any of its files; commit them, or {_NUMBER}"
    assert _refused(alone) == [f"bases/app/: {because}", f"bases/lib/: {because}"]


def test_a_shallow_clone_is_refused_where_it_may_lack_the_commit(
    timed: Path, tmp_path: Path, at: pytest.MonkeyPatch
) -> None:
    put(timed, {"bases/app/files/app.conf": "b\n"})
    _commit(timed, at, 6_000_000)
    put(timed, {"README.md": "b\n"})
    _commit(timed, at, 7_000_000)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{timed.parent}", str(clone))
    because = "this shallow clone may lack the last commit that touched it; run `git fetch --unshallow`"
    assert _refused(clone / "images") == [f"bases/app/: {because}", f"bases/lib/: {because}"]
    git(clone, "fetch", "-q", "--depth=3")
    assert _refused(clone / "images") == [f"bases/lib/: {because}"]  # the other's commit is there
    git(clone, "fetch", "-q", "--unshallow")
    assert _epochs(clone / "images") == _epochs(timed) == {"app": 6_000_000, "lib": 5_000_000}


def test_a_clone_without_trees_is_told(timed: Path, tmp_path: Path, at: pytest.MonkeyPatch) -> None:
    put(timed, {"README.md": "b\n"})
    _commit(timed, at, 7_000_000)
    git(timed, "config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--filter=tree:0", f"file://{timed.parent}", str(clone))
    (said,) = _refused(clone / "images", 3)
    assert said.startswith("`git rev-list` failed: ")


def test_a_catalog_that_is_the_context_of_a_family(timed: Path, at: pytest.MonkeyPatch) -> None:
    put(timed, {"bases/lib/base.yaml": f"{FAMILY}context: ../..\n"})
    _commit(timed, at, 6_000_000)
    put(timed, {"anything": "b\n"})
    _commit(timed, at, 7_000_000)
    assert _epochs(timed) == {"app": 5_000_000, "lib": 7_000_000}


def test_the_configuration_of_whoever_runs_it_changes_nothing(
    timed: Path, tmp_path: Path, at: pytest.MonkeyPatch
) -> None:
    wild = "[log]\nshowSignature = true\nfollow = true\n[format]\npretty = raw\n[color]\nui = always\n"
    put(tmp_path, {"gitconfig": wild})
    at.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    assert os.environ["GIT_CONFIG_GLOBAL"] != os.devnull
    assert _epochs(timed) == {"app": 5_000_000, "lib": 5_000_000}
