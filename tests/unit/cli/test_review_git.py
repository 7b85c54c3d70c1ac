"""`dfgen review` in real git repositories: the default base, kinds of repositories, and errors."""

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
_FOLDERS = "compare two folders: `dfgen review DIR DIR`"


def _failure(done: Done) -> tuple[int, list[str], str]:
    """Return status, error lines and output of a failed command."""
    return done.status, done.lines, done.out


# The default base.


@pytest.mark.parametrize("base", [(), ("main",), ("HEAD",), ("HEAD~0",), ("@",)])
def test_revision_is_compared_with_the_files(catalog: Path, base: tuple[str, ...]) -> None:
    before = git(catalog, "status", "--porcelain", "--ignored")
    (catalog / _DOCKERFILE).write_text("FROM scratch\n")
    done = dfgen("-C", catalog, "review", *base)
    assert "; 1 Dockerfile changed, 1 unchanged;" in done.out.splitlines()[0]
    assert (before, git(catalog, "branch", "--show-current")) == ("", "topic")


def test_base_is_where_the_branch_left_main(repository: Path, catalog: Path) -> None:
    git(repository, "checkout", "-q", "main")
    (catalog / "bases/app/files/app.conf").write_text("of main\n")
    commit(repository)
    git(repository, "checkout", "-q", "topic")
    assert found(catalog) == []
    assert found(catalog, "main") == ["context file bases/app/files/app.conf"]


@pytest.mark.parametrize(
    "name", ["refs/remotes/origin/main", "refs/remotes/origin/master", "refs/heads/master"]
)
def test_main_branch_by_its_name(repository: Path, catalog: Path, name: str) -> None:
    git(repository, "update-ref", name, "main")
    git(repository, "branch", "-qD", "main")
    assert found(catalog) == []


def test_main_branch_of_origin(repository: Path, catalog: Path) -> None:
    git(repository, "update-ref", "refs/remotes/origin/trunk", "main")
    git(repository, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
    git(repository, "branch", "-qD", "main")
    assert found(catalog) == []
    git(repository, "update-ref", "-d", "refs/remotes/origin/trunk")  # a HEAD that leads nowhere
    expected = f"no main branch found (tried {_TRIED}); try `git fetch {_EVERY}`, or specify BASE"
    assert _failure(dfgen("-C", catalog, "review")) == (2, [expected], "")


def test_tag_with_the_name_of_the_main_branch(repository: Path, catalog: Path) -> None:
    (catalog / "bases/app/files/app.conf").write_text("b\n")
    commit(repository)
    git(repository, "tag", "main")
    assert found(catalog) == ["context file bases/app/files/app.conf"]


def test_detached_head(repository: Path, catalog: Path) -> None:
    (catalog / "bases/app/files/app.conf").write_text("b\n")
    git(repository, "checkout", "-q", commit(repository))
    assert found(catalog) == ["context file bases/app/files/app.conf"]


def test_without_a_main_branch(repository: Path, catalog: Path) -> None:
    git(repository, "branch", "-qD", "main")
    expected = f"no main branch found (tried {_TRIED}); try `git fetch {_EVERY}`, or specify BASE"
    assert _failure(dfgen("-C", catalog, "review")) == (2, [expected], "")


@pytest.mark.parametrize("base", [(), ("HEAD",), ("HEAD~1",), ("@",)])
def test_head_without_a_commit(repository: Path, catalog: Path, base: tuple[str, ...]) -> None:
    git(repository, "checkout", "-q", "--orphan", "new")
    expected = f"HEAD has no commits yet; commit first, or {_FOLDERS}"
    assert _failure(dfgen("-C", catalog, "review", *base)) == (2, [expected], "")
    assert found(catalog, "main") == []


def test_no_common_commit(repository: Path, catalog: Path) -> None:
    git(repository, "checkout", "-q", "--orphan", "new")
    commit(repository, "another")
    expected = "HEAD and main have no common commit in this clone; try `git fetch origin`, or specify BASE"
    assert _failure(dfgen("-C", catalog, "review")) == (2, [expected], "")


@pytest.mark.parametrize("word", ["nowhere", "--output=x", "HEAD:images", "HEAD..main", "a b", "\n"])
def test_not_a_revision(catalog: Path, word: str) -> None:
    expected = f"{word!r} is neither a git revision nor a folder; try `git fetch origin`"
    assert _failure(dfgen("-C", catalog, "review", "--", word)) == (2, [expected], "")


def test_folder_without_a_catalog(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(catalog)
    other = "a folder with a catalog"
    expected = f"'templates' is neither a git revision nor {other}; try `git fetch origin`"
    assert _failure(dfgen("review", "templates")) == (2, [expected], "")


def test_folder_as_base(repository: Path, catalog: Path, tmp_path: Path) -> None:
    shutil.copytree(catalog, tmp_path / "old")
    (catalog / "bases/app/files/app.conf").write_text("b\n")
    reasons = ["context file bases/app/files/app.conf"]
    assert found(catalog, tmp_path / "old") == reasons
    shutil.rmtree(repository / ".git")
    assert found(catalog, tmp_path / "old") == reasons
    assert found(tmp_path, tmp_path / "old", catalog) == reasons


# Kinds of repositories.


def test_shallow_clone(repository: Path, tmp_path: Path) -> None:
    (repository / "images/bases/app/files/app.conf").write_text("b\n")
    commit(repository)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=1", "--no-single-branch", f"file://{repository}", str(clone))
    fetch = "git fetch --unshallow"
    common = f"HEAD and origin/main have no common commit in this clone; try `{fetch}`, or specify BASE"
    git(clone, "symbolic-ref", "-d", "refs/remotes/origin/HEAD")
    assert _failure(dfgen("-C", clone / "images", "review")) == (2, [common], "")
    unknown = f"'HEAD~1' is neither a git revision nor a folder; try `{fetch}`"
    assert _failure(dfgen("-C", clone / "images", "review", "HEAD~1")) == (2, [unknown], "")
    git(clone, *fetch.split()[1:])
    for base in ((), ("HEAD~1",)):
        assert found(clone / "images", *base) == ["context file bases/app/files/app.conf"]


def test_shallow_clone_of_one_branch(repository: Path, tmp_path: Path) -> None:
    (repository / "images/bases/app/files/app.conf").write_text("b\n")
    commit(repository)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", str(clone))
    git(clone, "checkout", "-q", "--detach")  # as on a CI runner
    git(clone, "symbolic-ref", "-d", "refs/remotes/origin/HEAD")
    fetch = f"git fetch --unshallow {_EVERY}"
    expected = f"no main branch found (tried {_TRIED}); try `{fetch}`, or specify BASE"
    assert _failure(dfgen("-C", clone / "images", "review")) == (2, [expected], "")
    git(clone, *shlex.split(fetch)[1:])
    assert found(clone / "images") == ["context file bases/app/files/app.conf"]


def test_partial_clone_fetches_nothing(repository: Path, tmp_path: Path) -> None:
    (repository / "images/bases/app/files/app.conf").write_text("b\n")
    commit(repository)
    git(repository, "config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{repository}", str(clone))
    blob = git(repository, "rev-parse", "main:images/bases/app/files/app.conf")
    hint = "git fetch --refetch --no-filter"
    expected = f"git object {blob} is missing; in a partial clone, run `{hint}`"
    assert _failure(dfgen("-C", clone / "images", "review", "HEAD~1")) == (3, [expected], "")
    git(clone, *hint.split()[1:])
    reasons = ["context file bases/app/files/app.conf"]
    assert found(clone / "images", "HEAD~1") == reasons


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_catalog_at_the_top_of_a_repository(
    tmp_path: Path, algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DEFAULT_HASH", algorithm)
    root = repositories.repository(tmp_path / "top", folder=".")
    assert found(root) == []
    monkeypatch.chdir(root)
    assert found(Path(), "main") == found(Path(), "main", "topic") == []


def test_sparse_checkout(repository: Path, catalog: Path) -> None:
    git(repository, "status")  # refreshes the index, since the repository is a copy
    git(repository, "sparse-checkout", "set", "images/templates", "images/bases/app/1.0")
    hint = "git sparse-checkout disable"
    expected = f"bases/app/files/app.conf: is excluded by this sparse checkout; run `{hint}`"
    assert _failure(dfgen("-C", catalog, "review")) == (2, [expected], "")
    assert found(catalog, "main", "topic") == []
    git(repository, *hint.split()[1:])
    assert found(catalog) == []


def test_worktree(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", "-b", "other", str(tmp_path / "tree"), "main")
    (tmp_path / "tree/images/bases/app/files/app.conf").write_text("b\n")
    assert found(tmp_path / "tree/images") == ["context file bases/app/files/app.conf"]


def test_two_revisions_of_a_bare_repository(repository: Path, tmp_path: Path) -> None:
    root = repositories.repository(tmp_path / "top", folder=".")
    (root / "bases/app/files/app.conf").write_text("b\n")
    commit(root)
    git(tmp_path, "clone", "-q", "--bare", str(root), "bare.git")
    assert found(tmp_path / "bare.git", "main", "topic") == ["context file bases/app/files/app.conf"]


def test_inside_a_hook(catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = repositories.repository(tmp_path / "elsewhere", folder=".")
    monkeypatch.setenv("GIT_DIR", str(elsewhere / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(elsewhere))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "no index"))
    assert found(catalog) == []


def test_revision_without_the_catalog(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    git(tmp_path / "r", "init", "-q")
    commit(tmp_path / "r")
    shutil.copytree(repository / "images", tmp_path / "r/images")
    done = dfgen("-C", tmp_path / "r/images", "review", "HEAD")
    assert "; 2 Dockerfiles added, 0 unchanged;" in done.out.splitlines()[0]
    because = "bases/: no catalog found"
    assert f"note: the old state cannot be loaded, so every image counts as new: {because}" in done.out


# Errors of git.


def test_outside_of_a_repository(tmp_path: Path) -> None:
    expected = f"{tmp_path}: is not in a git repository; {_FOLDERS}"
    assert _failure(dfgen("-C", tmp_path, "review")) == (2, [expected], "")


def test_missing_folder(tmp_path: Path) -> None:
    expected = f"{tmp_path}/no: is not a folder; set the catalog's folder with -C"
    assert _failure(dfgen("-C", tmp_path / "no", "review")) == (2, [expected], "")


def test_without_git(catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    expected = "git cannot be run: No such file or directory; install git"
    assert _failure(dfgen("-C", catalog, "review")) == (3, [expected], "")
    assert found(catalog, catalog) == []  # folders need no git


def test_repository_of_another_user(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    expected = (
        f"{catalog}: the repository belongs to another user, so git does not read it; allow it with"
        " `git config --global --add safe.directory DIR`"
    )
    assert _failure(dfgen("-C", catalog, "review")) == (2, [expected], "")


def test_missing_object(repository: Path, catalog: Path) -> None:
    (catalog / _DOCKERFILE).write_text("FROM scratch\n")
    blob = git(repository, "rev-parse", f"main:images/{_DOCKERFILE}")
    (repository / ".git/objects" / blob[:2] / blob[2:]).unlink()
    expected = f"git object {blob} is missing; in a partial clone, run `git fetch --refetch --no-filter`"
    assert _failure(dfgen("-C", catalog, "review")) == (3, [expected], "")


def test_programs_configured_by_the_repository_do_not_run(
    repository: Path, catalog: Path, tmp_path: Path
) -> None:
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
