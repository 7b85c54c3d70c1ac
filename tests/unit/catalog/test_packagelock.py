"""The package lock: its text, what is wrong in a file, and the moves between two locks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.catalog.packagelock import LockedPackage, Move, PackageLock, parse, read, write
from dfgen.errors import InputError

PATH = "bases/app/1/packages_amd64.lock"
HEADER = "# The packages that this image adds to its parent. Written by `dfgen build`; commit it.\n"
AGAIN = "delete the file and run `dfgen build`"


def lock(*lines: str) -> PackageLock:
    return parse("".join(f"{line}\n" for line in sorted(lines)), PATH)


def test_a_lock_is_sorted_text_with_a_line_for_each_package() -> None:
    packages = [LockedPackage("zlib", "amd64", "1:1.2.13"), LockedPackage("curl", "amd64", "8.5.0-2")]
    assert PackageLock(frozenset(packages)).text == f"{HEADER}curl 8.5.0-2 amd64\nzlib 1:1.2.13 amd64\n"


_WORDS = st.text(st.characters(categories=("L", "N", "P")), min_size=1).filter(
    lambda word: not word.startswith(("#", "<<<<<<<", "=======", ">>>>>>>", "|||||||"))
)


@given(st.frozensets(st.builds(LockedPackage, _WORDS, _WORDS | st.just(""), _WORDS)))
def test_what_is_written_is_read_again(packages: frozenset[LockedPackage]) -> None:
    written = PackageLock(packages)
    assert parse(written.text, PATH) == written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("curl\n", f":1: 'curl' is not a package, expected `NAME VERSION ARCHITECTURE`; {AGAIN}"),
        ("a 1 x y\n", f":1: 'a 1 x y' is not a package, expected `NAME VERSION ARCHITECTURE`; {AGAIN}"),
        ("# x\n\na 1\n", f":2: '' is not a package, expected `NAME VERSION ARCHITECTURE`; {AGAIN}"),
        ("a 1\na 1\n", f":2: a is listed twice; {AGAIN}"),
        ("b 1\na 1\n", f":2: a is not in order; {AGAIN}"),
        ("a 1\n<<<<<<< HEAD\nb 1\n=======\n", f":2: is a conflict marker of git; {AGAIN}"),
    ],
)
def test_a_file_that_is_no_lock(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text, PATH)
    assert str(caught.value) == f"{PATH}{message}"


def test_moves_name_what_was_added_removed_and_moved() -> None:
    old = lock("curl 8.5 amd64", "gone 1 amd64", "kernel 5 amd64", "same 2 amd64")
    new = lock("curl 8.6 amd64", "kernel 5 amd64", "kernel 6 amd64", "new 3 amd64", "same 2 amd64")
    assert [str(move) for move in new.moves_from(old)] == [
        "curl 8.5 → 8.6",
        "gone removed",
        "kernel added (6)",
        "new added (3)",
    ]
    assert list(new.moves_from(new)) == []


def test_a_lock_that_does_not_exist_and_one_that_was_written(tmp_path: Path) -> None:
    (tmp_path / "bases/app/1").mkdir(parents=True)
    assert read(tmp_path, PATH) is None
    write(tmp_path, PATH, lock("a 1 amd64"))
    assert read(tmp_path, PATH) == lock("a 1 amd64")


def test_a_lock_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "bases/app").mkdir(parents=True)
    (tmp_path / "bases/app/1").symlink_to(tmp_path)
    with pytest.raises(InputError, match="is a link"):
        write(tmp_path, PATH, lock("a 1 amd64"))


# Alphabet of Debian's versions, with many short ones: that is where orders differ.
_UPSTREAM = st.text("019az+.~", max_size=5).map("0{}".format)
_VERSIONS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "0:", "1:", "10:"]),
    _UPSTREAM,
    st.sampled_from(["", "-0", "-1", "-1~b", "-10"]),
)


@given(_VERSIONS, _VERSIONS)
@settings(max_examples=60, deadline=None)
def test_downgrades_are_what_dpkg_calls_older(old: str, new: str) -> None:
    done = subprocess.run(["dpkg", "--compare-versions", new, "lt", old], check=False)
    assert Move("a", "amd64", old, new).is_downgrade == (done.returncode == 0)


@pytest.mark.parametrize(("old", "new"), [("1 2", "1"), ("", "1"), ("1", "")])
def test_what_has_no_single_version_is_no_downgrade(old: str, new: str) -> None:
    assert not Move("a", "amd64", old, new).is_downgrade
