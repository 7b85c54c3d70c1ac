"""Blocks of a Dockerfile, and the shortcut that they give to risks of many files."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.commands.review.diff import blocks, changes
from dfgen.commands.review.records import Group, Kind, State
from dfgen.commands.review.risks import instructions
from dfgen.dockerfile.parser import Reader


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("", []),
        ("FROM a\nRUN b\n", ["FROM a\n", "RUN b\n"]),
        ("FROM a\n\n# c\nRUN b", ["FROM a\n", "\n", "# c\n", "RUN b"]),
        ("RUN a \\  \n # c\n  # d \\\n  b\nRUN e\n", ["RUN a \\  \n # c\n  # d \\\n  b\n", "RUN e\n"]),
        ("RUN a \\", ["RUN a \\"]),
        ("RUN a \\\n\nb\n", ["RUN a \\\n\nb\n"]),
        ("# a \\\nRUN b\n", ["# a \\\n", "RUN b\n"]),
        ("RUN a \\\\\nRUN b\n", ["RUN a \\\\\n", "RUN b\n"]),
        ("RUN <<END\nx\nEND\n", None),
        ("# escape=`\nRUN a `\n b\n", None),
    ],
)
def test_blocks(text: str, cut: list[str] | None) -> None:
    assert blocks(text) == cut


_PIECES = ("RUN a", "USER root", "\u2003", "  # c", "#", " ", "\\", "\t", "\r", "\n", "\n", "\n", "\\\n")


@given(st.lists(st.sampled_from(_PIECES)).map("".join))
def test_blocks_agree_with_the_parser(text: str) -> None:
    cut = blocks(text) or []
    statements = ["".join(f"{line}\n" for line in one.lines) for one in Reader(text)]
    assert [block.removesuffix("\n") for block in cut] == [one.removesuffix("\n") for one in statements]
    assert "".join(cut) == text


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("a\nb\nc\n", "a\nx\nc\n", ((("b\n",), ("x\n",)),)),
        ("a\nc\n", "a\nx\nc\n", (((), ("x\n",)),)),
        ("a\na\n", "a\n", ((("a\n",), ()),)),
        ("a\nb\nc\nd\n", "x\nb\nc\ny\n", ((("a\n",), ("x\n",)), (("d\n",), ("y\n",)))),
        ("a\n", "a\n", ()),
        ("RUN <<E\na\nE\n", "b\n", ((("RUN <<E\na\nE\n",), ("b\n",)),)),
    ],
)
def test_changes(old: str, new: str, found: object) -> None:
    assert changes(old, new) == found


def test_risk_of_many_files_is_reported_once() -> None:
    old = {f"{number}": f"FROM a:{number}\nENV V={number}\nUSER 1\n" for number in range(9)}
    new = {name: text.replace("USER 1", "USER 0") for name, text in old.items()}
    group = Group(kind=Kind.ADDED, title="", steps=(), hunk=(), files=tuple(old))
    (risk,) = instructions.of_groups(State(dockerfiles=old), State(dockerfiles=new), [group])
    assert (str(risk.place), risk.message.endswith(" (in 9 files)")) == ("0:3", True)


# The alternatives for each part of a Dockerfile.
_LINES = (
    ("FROM a\n", "FROM a AS one\nUSER root\nFROM one\n", "# syntax=docker/dockerfile\nFROM a\n"),
    ("", "ENV who=root\n", "ENV a_token=x\n", "ARG who\n"),
    ("", "RUN x https://u:secret@h/\n", "ADD https://h/x /\n", "RUN \\\n\nUSER root\n", "ADDD a b\n"),
    ("", "USER root\n", "USER $who\n", "ONBUILD USER root\n", "# \\\nUSER 0\n", "US\\\nER 0\n"),
)


def test_rule_finds_the_same_in_its_view_as_in_the_file() -> None:
    texts = ["".join(lines) for lines in product(*_LINES)]
    for at, old in enumerate(texts):
        for new in texts[at % 61 :: 61]:
            for rule in instructions.RISKS:
                read = map(rule.view, (old, new))
                assert rule.find("f", *read) == rule.find("f", old, new)


def test_skipped_changes_have_no_risks() -> None:
    texts = ["".join(lines) for lines in product(*_LINES)]
    for old, new in zip(texts, texts[7:], strict=False):
        group = Group(kind=Kind.ADDED, title="", steps=(), hunk=(), files=("f",))
        states = State(dockerfiles={"f": old}), State(dockerfiles={"f": new})
        shown = {(one.rule, one.message, one.place.line) for one in instructions.of_groups(*states, [group])}
        risks = [one for rule in instructions.RISKS for one in rule.find("f", old, new)]
        assert shown == {(one.rule, one.message, one.place.line) for one in risks}


def test_unchanged_file_has_no_risks() -> None:
    for text in map("".join, product(*_LINES)):
        assert [one for rule in instructions.RISKS for one in rule.find("f", text, text)] == []
