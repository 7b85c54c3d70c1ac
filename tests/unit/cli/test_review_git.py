"""`dfgen review` and git: where it begins in real repositories, and what it says where it cannot."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from tests.unit import repositories
from tests.unit.cli.run import Done, dfgen
from tests.unit.repositories import commit, found, git

_EVERY = "origin '+refs/heads/*:refs/remotes/origin/*'"
_TRIED = "origin/HEAD, origin/main, origin/master, main, master"
_DOCKERFILE = "bases/app/1.0/Dockerfile_amd64"
_FOLDERS = "name two folders: `dfgen review DIR DIR`"


def _said(done: Done) -> tuple[int, list[str], str]:
    """What there is to compare of a command that fails."""
    return done.status, done.lines, done.out


# Where a review begins.


@pytest.mark.parametrize("base", [(), ("main",), ("HEAD",), ("HEAD~0",), ("@",)])
def test_a_revision_is_compared_with_the_files(catalog: Path, base: tuple[str, ...]) -> None:
    before = git(catalog, "status", "--porcelain", "--ignored")
    (catalog / _DOCKERFILE).write_text("FROM scratch\n")
    done = dfgen("-C", catalog, "review", *base)
    assert "; 1 Dockerfile changed in 1 way, 1 unchanged;" in done.out.splitlines()[0]
    assert (before, git(catalog, "branch", "--show-current")) == ("", "topic")


def test_the_base_is_where_the_branch_left_main(repository: Path, catalog: Path) -> None:
    git(repository, "checkout", "-q", "main")
    (catalog / "bases/app/files/app.conf").write_text("of main\n")
    commit(repository)
    git(repository, "checkout", "-q", "topic")
    assert found(catalog) == []
    assert found(catalog, "main") == ["context file bases/app/files/app.conf"]


@pytest.mark.parametrize(
    "name", ["refs/remotes/origin/main", "refs/remotes/origin/master", "refs/heads/master"]
)
def test_the_main_branch_has_one_of_many_names(repository: Path, catalog: Path, name: str) -> None:
    git(repository, "update-ref", name, "main")
    git(repository, "branch", "-qD", "main")
    assert found(catalog) == []


def test_the_main_branch_is_what_origin_says(repository: Path, catalog: Path) -> None:
    git(repository, "update-ref", "refs/remotes/origin/trunk", "main")
    git(repository, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
    git(repository, "branch", "-qD", "main")
    assert found(catalog) == []
    git(repository, "update-ref", "-d", "refs/remotes/origin/trunk")  # a HEAD that leads nowhere
    expected = f"no main branch (tried {_TRIED}); try `git fetch {_EVERY}`, or name BASE"
    assert _said(dfgen("-C", catalog, "review")) == (2, [expected], "")


def test_a_tag_of_the_main_branchs_name_is_not_it(repository: Path, catalog: Path) -> None:
    (catalog / "bases/app/files/app.conf").write_text("b\n")
    commit(repository)
    git(repository, "tag", "main")
    assert found(catalog) == ["context file bases/app/files/app.conf"]


def test_a_detached_head(repository: Path, catalog: Path) -> None:
    (catalog / "bases/app/files/app.conf").write_text("b\n")
    git(repository, "checkout", "-q", commit(repository))
    assert found(catalog) == ["context file bases/app/files/app.conf"]


def test_without_a_main_branch(repository: Path, catalog: Path) -> None:
    git(repository, "branch", "-qD", "main")
    expected = f"no main branch (tried {_TRIED}); try `git fetch {_EVERY}`, or name BASE"
    assert _said(dfgen("-C", catalog, "review")) == (2, [expected], "")


@pytest.mark.parametrize("base", [(), ("HEAD",), ("HEAD~1",), ("@",)])
def test_a_head_without_a_commit(repository: Path, catalog: Path, base: tuple[str, ...]) -> None:
    git(repository, "checkout", "-q", "--orphan", "new")
    expected = f"HEAD has no commit yet; commit first, or {_FOLDERS}"
    assert _said(dfgen("-C", catalog, "review", *base)) == (2, [expected], "")
    assert found(catalog, "main") == []


def test_no_common_commit(repository: Path, catalog: Path) -> None:
    git(repository, "checkout", "-q", "--orphan", "new")
    commit(repository, "another")
    expected = "HEAD and main have no common commit here; try `git fetch origin`, or name BASE"
    assert _said(dfgen("-C", catalog, "review")) == (2, [expected], "")


@pytest.mark.parametrize("word", ["nowhere", "--output=x", "HEAD:images", "HEAD..main", "a b", "\n"])
def test_what_is_no_revision(catalog: Path, word: str) -> None:
    expected = f"{word!r} is no revision of this repository, nor a folder; try `git fetch origin`"
    assert _said(dfgen("-C", catalog, "review", "--", word)) == (2, [expected], "")


def test_a_folder_without_a_catalog_is_no_revision(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(catalog)
    place = "nor a folder that holds a catalog"
    expected = f"'templates' is no revision of this repository, {place}; try `git fetch origin`"
    assert _said(dfgen("review", "templates")) == (2, [expected], "")


def test_a_folder_for_a_base(repository: Path, catalog: Path, tmp_path: Path) -> None:
    shutil.copytree(catalog, tmp_path / "old")
    (catalog / "bases/app/files/app.conf").write_text("b\n")
    reasons = ["context file bases/app/files/app.conf"]
    assert found(catalog, tmp_path / "old") == reasons
    shutil.rmtree(repository / ".git")
    assert found(catalog, tmp_path / "old") == reasons
    assert found(tmp_path, tmp_path / "old", catalog) == reasons


# Repositories of many kinds.


def test_a_shallow_clone_says_what_to_fetch(repository: Path, tmp_path: Path) -> None:
    (repository / "images/bases/app/files/app.conf").write_text("b\n")
    commit(repository)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=1", "--no-single-branch", f"file://{repository}", str(clone))
    fetch = "git fetch --unshallow"
    common = f"HEAD and origin/main have no common commit here; try `{fetch}`, or name BASE"
    git(clone, "symbolic-ref", "-d", "refs/remotes/origin/HEAD")
    assert _said(dfgen("-C", clone / "images", "review")) == (2, [common], "")
    unknown = f"'HEAD~1' is no revision of this repository, nor a folder; try `{fetch}`"
    assert _said(dfgen("-C", clone / "images", "review", "HEAD~1")) == (2, [unknown], "")
    git(clone, *fetch.split()[1:])
    for base in ((), ("HEAD~1",)):
        assert found(clone / "images", *base) == ["context file bases/app/files/app.conf"]


def test_a_shallow_clone_of_one_branch_says_what_to_fetch(repository: Path, tmp_path: Path) -> None:
    (repository / "images/bases/app/files/app.conf").write_text("b\n")
    commit(repository)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", str(clone))
    git(clone, "checkout", "-q", "--detach")  # as a runner has it
    git(clone, "symbolic-ref", "-d", "refs/remotes/origin/HEAD")
    fetch = f"git fetch --unshallow {_EVERY}"
    expected = f"no main branch (tried {_TRIED}); try `{fetch}`, or name BASE"
    assert _said(dfgen("-C", clone / "images", "review")) == (2, [expected], "")
    git(clone, *shlex.split(fetch)[1:])
    assert found(clone / "images") == ["context file bases/app/files/app.conf"]


def test_a_partial_clone_fetches_nothing(repository: Path, tmp_path: Path) -> None:
    (repository / "images/bases/app/files/app.conf").write_text("b\n")
    commit(repository)
    git(repository, "config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{repository}", str(clone))
    blob = git(repository, "rev-parse", "main:images/bases/app/files/app.conf")
    hint = "git fetch --refetch --no-filter"
    expected = f"git has not got object {blob}; in a partial clone `{hint}` brings it"
    assert _said(dfgen("-C", clone / "images", "review", "HEAD~1")) == (3, [expected], "")
    git(clone, *hint.split()[1:])
    reasons = ["context file bases/app/files/app.conf"]
    assert found(clone / "images", "HEAD~1") == reasons


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_catalog_at_the_top_of_a_repository(
    tmp_path: Path, algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DEFAULT_HASH", algorithm)
    root = repositories.repository(tmp_path / "top", folder=".")
    assert found(root) == []
    monkeypatch.chdir(root)
    assert found(Path(), "main") == found(Path(), "main", "topic") == []


def test_a_sparse_checkout(repository: Path, catalog: Path) -> None:
    git(repository, "status")  # a copy: git has to see that nothing was edited
    git(repository, "sparse-checkout", "set", "images/templates", "images/bases/app/1.0")
    hint = "git sparse-checkout disable"
    expected = f"bases/app/files/app.conf: is left out of this sparse checkout; `{hint}` brings it"
    assert _said(dfgen("-C", catalog, "review")) == (2, [expected], "")
    assert found(catalog, "main", "topic") == []
    git(repository, *hint.split()[1:])
    assert found(catalog) == []


def test_a_worktree(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", "-b", "other", str(tmp_path / "tree"), "main")
    (tmp_path / "tree/images/bases/app/files/app.conf").write_text("b\n")
    assert found(tmp_path / "tree/images") == ["context file bases/app/files/app.conf"]


def test_two_revisions_of_a_bare_repository(repository: Path, tmp_path: Path) -> None:
    root = repositories.repository(tmp_path / "top", folder=".")
    (root / "bases/app/files/app.conf").write_text("b\n")
    commit(root)
    git(tmp_path, "clone", "-q", "--bare", str(root), "bare.git")
    assert found(tmp_path / "bare.git", "main", "topic") == ["context file bases/app/files/app.conf"]


def test_from_within_a_hook(catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = repositories.repository(tmp_path / "elsewhere", folder=".")
    monkeypatch.setenv("GIT_DIR", str(elsewhere / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(elsewhere))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "no index"))
    assert found(catalog) == []


def test_a_revision_without_the_catalog(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    git(tmp_path / "r", "init", "-q")
    commit(tmp_path / "r")
    shutil.copytree(repository / "images", tmp_path / "r/images")
    done = dfgen("-C", tmp_path / "r/images", "review", "HEAD")
    assert "; 2 Dockerfiles new, 0 unchanged;" in done.out.splitlines()[0]
    because = "bases/: there is no catalog"
    assert f"note: the state before cannot be loaded, so every image counts as new: {because}" in done.out


# Where git does not help.


def test_outside_of_a_repository(tmp_path: Path) -> None:
    expected = f"{tmp_path}: is in no git repository; {_FOLDERS}"
    assert _said(dfgen("-C", tmp_path, "review")) == (2, [expected], "")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    expected = f"{tmp_path}/no: is not a folder; pass the folder of a catalog with -C"
    assert _said(dfgen("-C", tmp_path / "no", "review")) == (2, [expected], "")


def test_without_git(catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    expected = "git cannot be run: No such file or directory; install git"
    assert _said(dfgen("-C", catalog, "review")) == (3, [expected], "")
    assert found(catalog, catalog) == []  # folders need none


def test_a_repository_of_another_user(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    expected = (
        f"{catalog}: the repository is another user's, and git does not read it; allow it with"
        " `git config --global --add safe.directory DIR`"
    )
    assert _said(dfgen("-C", catalog, "review")) == (2, [expected], "")


def test_a_missing_object(repository: Path, catalog: Path) -> None:
    (catalog / _DOCKERFILE).write_text("FROM scratch\n")
    blob = git(repository, "rev-parse", f"main:images/{_DOCKERFILE}")
    (repository / ".git/objects" / blob[:2] / blob[2:]).unlink()
    expected = (
        f"git has not got object {blob}; in a partial clone `git fetch --refetch --no-filter` brings it"
    )
    assert _said(dfgen("-C", catalog, "review")) == (3, [expected], "")


def test_nothing_that_the_repository_configures_runs(repository: Path, catalog: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.write_text(f'#!/bin/sh\necho "$0 $@" >> {tmp_path}/ran\ncat\n')
    trap.chmod(0o755)
    (repository / ".gitattributes").write_text("* filter=trap diff=trap merge=trap\n")
    commit(repository)
    for name in ("core.fsmonitor", "core.editor", "core.pager", "core.sshCommand", "diff.external"):
        git(repository, "config", name, str(trap))
    for name in ("filter.trap.clean", "filter.trap.smudge", "filter.trap.process", "diff.trap.textconv"):
        git(repository, "config", name, str(trap))
    (repository / ".git/hooks").mkdir(exist_ok=True)
    for name in ("post-checkout", "post-index-change", "reference-transaction", "fsmonitor-watchman"):
        (repository / f".git/hooks/{name}").symlink_to(trap)
    (catalog / "bases/app/files/app.conf").write_text("b\n")
    for words in ((), ("main", "topic"), ("HEAD",)):
        assert dfgen("-C", catalog, "review", *words).status == 0
    assert not (tmp_path / "ran").exists()
