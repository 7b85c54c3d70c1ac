"""Lists of merges: the format, and all problems of a file in one error."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from dfgen.commands.merge import MergeRequest, parse_list, read_list
from dfgen.errors import InputError, Place
from dfgen.oci.reference import Reference


def test_a_line_is_a_merge() -> None:
    text = "# images of a release\n\nreg.example/a:1 reg.example/a:1-x86_64\treg.example/a:1-aarch64 # both\n"
    target, *children = (Reference.parse(f"reg.example/a:{tag}") for tag in ("1", "1-x86_64", "1-aarch64"))
    expected = MergeRequest(target=target, children=tuple(children), place=Place("list", 3))
    assert parse_list(text, "list") == (expected,)


def test_all_problems_are_reported() -> None:
    text = "\n".join(
        [
            "reg.example/a:1",
            "reg.example/B:1 x",
            "reg.example/c:1 reg.example/c:1-x86_64",
            "reg.example/c:1 reg.example/c:1-aarch64",
            "reg.example/d:1 reg.example/c:1",
        ]
    )
    with pytest.raises(InputError) as caught:
        parse_list(text, "list")
    assert str(caught.value).splitlines() == [
        "list:1: reg.example/a:1 has no children; expected NAME:TAG CHILD...",
        "list:2: 'reg.example/B:1' is not an image reference: 'B' is not a repository;"
        " repository names must be lowercase; expected [registry/]name[:tag][@digest]",
        "list:4: reg.example/c:1 is already merged on line 3; list it once",
        "list:5: reg.example/c:1 is itself merged on line 3; list its images instead",
    ]


def test_a_tag_may_be_a_child_of_itself() -> None:
    (request,) = parse_list("reg.example/a:1 reg.example/a:1 reg.example/a:1-s390x", "list")
    assert request.children[0] == request.target


def test_an_empty_or_unreadable_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_list(io.StringIO("# nothing\n"))
    assert str(caught.value) == "standard input: has no merges; expected lines of NAME:TAG CHILD..."
    path = tmp_path / "list"
    with pytest.raises(InputError) as caught:
        read_list(path)
    assert str(caught.value) == f"{path}: cannot be read: No such file or directory"
    path.write_bytes(b"\xff")
    with pytest.raises(InputError) as caught:
        read_list(path)
    assert str(caught.value) == f"{path}: is not UTF-8 text"
