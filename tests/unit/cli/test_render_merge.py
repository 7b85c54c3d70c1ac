"""`dfgen render` after a git merge: what git cannot merge in generated files only needs no person."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from dfgen.catalog import load
from dfgen.catalog.lockfile import LOCK_FILE, Pin, parse
from dfgen.oci.digest import Digest
from dfgen.templating import Templates
from tests.unit.catalogs import locked, write
from tests.unit.cli.run import Done, dfgen
from tests.unit.repositories import commit, git

AMD64 = "bases/app/1.0/Dockerfile_amd64"
FAMILY = """\
template: t.j2
parent: docker.io/library/busybox:1.36
parents:
  build: docker.io/library/golang:1.22
versions:
  - "1.0"

  - "1.1"
variables:
  first: a




  last: b
"""
TEMPLATE = """\
FROM {{ parents.build }} AS build
RUN true


FROM {{ parent }}
LABEL first="{{ first }}"
RUN echo 1


RUN echo 2
LABEL last="{{ last }}"
"""
Edit = Callable[[Path], None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Create a repository with a rendered catalog on `main`."""
    write(tmp_path, {"bases/app/base.yaml": FAMILY, "templates/t.j2": TEMPLATE})
    _lock(tmp_path)
    assert dfgen("-C", tmp_path, "render").status == 0
    git(tmp_path, "init", "-q", "--template=")
    commit(tmp_path)
    return tmp_path


def _lock(root: Path) -> None:
    catalog = load.load(root, Templates(root / "templates", "templates"))
    (root / LOCK_FILE).write_text(locked(catalog).to_text())


def _replace(path: str, old: str, new: str) -> Edit:
    def edit(root: Path) -> None:
        text = (root / path).read_text()
        assert old in text
        (root / path).write_text(text.replace(old, new))

    return edit


def _bump(parent: str) -> Edit:
    """Move the pins of a parent, as `dfgen lock --upgrade` does."""

    def edit(root: Path) -> None:
        lock = parse((root / LOCK_FILE).read_text())
        old = lock.parents[parent]
        pins = {
            platform: Pin(Digest.of(f"new {pin.digest}".encode())) for platform, pin in old.platforms.items()
        }
        new = replace(
            old, digest=Digest.of(f"new {parent}".encode()), first_seen="2026-02-01", platforms=pins
        )
        (root / LOCK_FILE).write_text(lock.with_parents({parent: new}).to_text())

    return edit


def _family(name: str, parent: str) -> Edit:
    def edit(root: Path) -> None:
        text = f'template: {name}.j2\nparent: docker.io/library/{parent}\nversions: ["1"]\n'
        write(root, {f"bases/{name}/base.yaml": text, f"templates/{name}.j2": "FROM {{ parent }}\n"})
        _lock(root)

    return edit


FIRST = _replace("bases/app/base.yaml", "first: a", "first: A")
LAST = _replace("bases/app/base.yaml", "last: b", "last: B")
RUN = _replace("templates/t.j2", "RUN true", "RUN false")
ECHO = _replace("templates/t.j2", "RUN echo 2", "RUN echo 3")
BUSYBOX, GOLANG = _bump("docker.io/library/busybox:1.36"), _bump("docker.io/library/golang:1.22")
OLDER = _replace("bases/app/base.yaml", "versions:\n", 'versions:\n  - "0.9"\n')
NEWER = _replace("bases/app/base.yaml", '  - "1.1"\n', '  - "1.1"\n  - "1.2"\n')
RENAMED = _replace("bases/app/base.yaml", '  - "1.0"', '  - "1.0.1"')
GONE = _replace("bases/app/base.yaml", '  - "1.0"\n', "")
ARM64_ONLY = _replace("bases/app/base.yaml", "versions:\n", "platforms: [linux/arm64]\nversions:\n")

PAIRS = {
    "two variables": (FIRST, LAST),
    "two lines of a template": (RUN, ECHO),
    "a variable and a line of a template": (FIRST, RUN),
    "the bumps of two parents": (BUSYBOX, GOLANG),
    "a bump and a variable": (BUSYBOX, LAST),
    "a bump and the line below FROM": (GOLANG, RUN),
    "the same bump twice": (BUSYBOX, BUSYBOX),
    "two new versions": (OLDER, NEWER),
    "a new version and a line of a template": (NEWER, ECHO),
    "a renamed version and a line of a template": (RENAMED, ECHO),
    "a removed version and a line of a template": (GONE, ECHO),
    "a removed platform and a line of a template": (ARM64_ONLY, ECHO),
    "two new families, whose parents are neighbors in the lock": (
        _family("one", "nginx:1.28"),
        _family("two", "node:22"),
    ),
    "two new families, whose parents are first in the lock": (
        _family("one", "alpine:3.22"),
        _family("two", "amazonlinux:2"),
    ),
    "two new families with one parent": (_family("one", "nginx:1.28"), _family("two", "nginx:1.28")),
    "a new family and a bump of its neighbor in the lock": (_family("one", "nginx:1.28"), GOLANG),
}


def _branches(root: Path, one: Edit, two: Edit) -> None:
    """Make each edit on a branch of its own, rendered; the branch `two` is checked out."""
    for name, edit in (("one", one), ("two", two)):
        git(root, "checkout", "-q", "main")
        git(root, "checkout", "-qb", name)
        edit(root)
        assert dfgen("-C", root, "render").status == 0
        commit(root, name)


@pytest.mark.parametrize("style", ["merge", "diff3", "zdiff3"])
@pytest.mark.parametrize(("one", "two"), PAIRS.values(), ids=PAIRS)
def test_two_branches_whose_sources_merge(root: Path, one: Edit, two: Edit, style: str) -> None:
    _branches(root, one, two)
    generated = _merge(root, "-c", f"merge.conflictStyle={style}", "merge", "-q", "one")
    assert all("Dockerfile_" in path or path == LOCK_FILE for path in generated)
    done = dfgen("-C", root, "render")
    assert done.status == 0, done.err
    assert dfgen("-C", root, "render", "--check").status == 0
    assert "<<<<<<<" not in (root / LOCK_FILE).read_text()
    commit(root, "merged")
    # The result does not depend on the merge: it is what both edits of one branch render.
    merged = _files(root)
    git(root, "checkout", "-q", "main")
    one(root)
    if one is not two:
        two(root)
    assert dfgen("-C", root, "render").status == 0
    assert _files(root) == merged


def _merge(root: Path, *words: str) -> list[str]:
    """Run a command of git that may stop at conflicts; return the files that have some."""
    with suppress(subprocess.CalledProcessError):
        git(root, *words)
    return git(root, "diff", "--name-only", "--diff-filter=U").splitlines()


def _files(root: Path) -> dict[str, str]:
    paths = [*root.rglob("Dockerfile_*"), root / LOCK_FILE]
    return {path.relative_to(root).as_posix(): path.read_text() for path in paths}


def test_the_check_before_names_the_command(root: Path) -> None:
    _branches(root, FIRST, LAST)
    _merge(root, "merge", "-q", "one")
    done = dfgen("-C", root, "render", "--check", "app:1.0@amd64")
    assert (done.status, done.lines) == (
        1,
        [f"{AMD64}: was merged by git, which cannot merge its hash; run `dfgen render`"],
    )
    assert dfgen("-C", root, "render", "app:1.0@amd64").lines == [
        f"{AMD64}: merge finished",
        "1 of 1 Dockerfile written, 0 unchanged",
    ]


def test_a_lock_with_conflicts_is_written_by_render_alone(root: Path) -> None:
    _branches(root, _family("one", "nginx:1.28"), _family("two", "node:22"))
    assert _merge(root, "merge", "-q", "one") == [LOCK_FILE]
    text = (root / LOCK_FILE).read_text()
    done = dfgen("-C", root, "render", "--check")
    assert (done.status, done.lines) == (
        1,
        [f"{LOCK_FILE}: was merged by git, which left conflict markers; run `dfgen render`"],
    )
    assert (root / LOCK_FILE).read_text() == text
    assert dfgen("-C", root, "render").lines == [
        f"{LOCK_FILE}: merge finished",
        "0 of 8 Dockerfiles written, 8 unchanged",
    ]


@pytest.mark.parametrize("command", ["merge", "rebase", "cherry-pick", "revert"])
@pytest.mark.parametrize("added", [False, True])
def test_a_conflict_that_a_person_resolved_in_the_sources(root: Path, command: str, *, added: bool) -> None:
    _branches(root, FIRST, _replace("bases/app/base.yaml", "first: a", "first: c"))
    if command == "revert":
        git(root, "checkout", "-q", "one")
        LAST(root)
        _replace("bases/app/base.yaml", "first: A", "first: d")(root)
        dfgen("-C", root, "render")
        commit(root)
        conflicts = _merge(root, "revert", "--no-edit", "HEAD~1")
    else:
        conflicts = _merge(root, command, *(["-q"] if command in ("merge", "rebase") else []), "one")
    assert "bases/app/base.yaml" in conflicts
    (root / "bases/app/base.yaml").write_text(FAMILY.replace("first: a", "first: resolved"))
    if added:
        git(root, "add", "-A")
    done = dfgen("-C", root, "render")
    assert done.status == 0, done.err
    assert 'LABEL first="resolved"' in (root / AMD64).read_text()
    assert dfgen("-C", root, "render", "--check").status == 0


@pytest.mark.parametrize("style", ["merge", "diff3"])
def test_markers_that_were_committed(root: Path, style: str) -> None:
    _branches(root, FIRST, LAST)
    _merge(root, "-c", f"merge.conflictStyle={style}", "merge", "-q", "one")
    commit(root, "with markers")
    assert dfgen("-C", root, "render").status == 0


def _by_hand(done: Done) -> bool:
    """Whether the files of amd64 were kept as edited by hand."""
    return done.status == 1 and f"{AMD64}: was edited by hand" in done.err


def test_a_line_that_a_person_wrote_is_kept(root: Path) -> None:
    _branches(root, FIRST, LAST)
    _merge(root, "merge", "-q", "one")
    _replace(AMD64, "RUN echo 1", "RUN echo 1 && by hand")(root)
    text = (root / AMD64).read_text()
    assert _by_hand(dfgen("-C", root, "render"))
    assert (root / AMD64).read_text() == text


def test_a_side_that_was_edited_by_hand_is_kept(root: Path) -> None:
    def edit(root: Path) -> None:
        LAST(root)
        assert dfgen("-C", root, "render").status == 0
        _replace(AMD64, "RUN echo 1", "RUN echo 1 && by hand")(root)

    git(root, "checkout", "-qb", "one")
    FIRST(root)
    dfgen("-C", root, "render")
    commit(root)
    git(root, "checkout", "-q", "main")
    edit(root)
    commit(root)
    assert AMD64 in _merge(root, "merge", "-q", "one")
    assert _by_hand(dfgen("-C", root, "render"))


def test_markers_without_a_merge_are_an_edit(root: Path) -> None:
    _replace(AMD64, "RUN true\n", "<<<<<<< a\nRUN true\n=======\nRUN x\n>>>>>>> b\n")(root)
    assert _by_hand(dfgen("-C", root, "render"))


def test_a_parent_that_both_sides_pin_differently_is_an_error(root: Path) -> None:
    def newer(root: Path) -> None:
        BUSYBOX(root)
        BUSYBOX(root)

    _branches(root, BUSYBOX, newer)
    assert LOCK_FILE in _merge(root, "merge", "-q", "one")
    done = dfgen("-C", root, "render")
    assert (done.status, done.lines) == (
        2,
        [
            f"{LOCK_FILE}: merge conflict: both sides pin 'docker.io/library/busybox:1.36', differently; keep one"
            " side and run `dfgen lock`"
        ],
    )
