"""Comparison of two Dockerfiles by instruction."""

from __future__ import annotations

import pytest

from dfgen.commands.review.diff import compare, package_moves
from dfgen.commands.review.records import Kind, PackageMove
from dfgen.errors import InputError

ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


def summaries(old: str, new: str) -> list[str]:
    return [step.summary for step in compare(old, new, "Dockerfile").steps]


@pytest.mark.parametrize(
    ("old", "new", "summary"),
    [
        ("FROM a:1", "FROM a:2", "FROM: a:1 → a:2"),
        (f"FROM a:1@{ONE}", f"FROM a:1@{TWO}", "FROM: a:1 has a new digest"),
        (
            "FROM --platform=linux/arm64 a:1",
            "FROM --platform=linux/amd64 a:1",
            "FROM: a:1 has a new platform",
        ),
        (
            f"FROM --platform=linux/arm64 a:1@{ONE}",
            f"FROM --platform=linux/amd64 a:1@{TWO}",
            "FROM: a:1 has a new digest and platform",
        ),
        ("FROM a\nUSER app", "FROM a\nUSER root", "USER: app → root"),
        ("FROM a\nUSER app", "FROM a", "USER removed: app"),
        ("FROM a", "FROM a\nUSER app", "USER added: app"),
        ('FROM a\nENTRYPOINT ["a"]', 'FROM a\nENTRYPOINT ["b", "c"]', 'ENTRYPOINT: ["a"] → ["b", "c"]'),
        ("FROM a\nENV A=1 B=2", "FROM a\nENV A=3 C=4", "ENV: A 1 → 3, B removed, C added: 4"),
        ("FROM a\nLABEL a=1 b=2", "FROM a\nLABEL b=2 a=1", "LABEL: order or formatting only"),
        ("FROM a\nRUN make all", "FROM a\nRUN make it all", "RUN: + it"),
        ("FROM a\nRUN make it all", "FROM a\nRUN make all", "RUN: - it"),
        ("FROM a\nRUN apt install curl", "FROM a\nRUN apt install curl=2", "RUN: curl unpinned → 2"),
        ("FROM a\nRUN apk add x=1 y", "FROM a\nRUN apk add x=2 z", "RUN: x 1 → 2, y removed, z added"),
        ("FROM a\nRUN apt install x'=1*'", "FROM a\nRUN apt install x'=2*'", "RUN: x 1* → 2*"),
        ("FROM a\nRUN apt install x", "FROM a\nRUN apt install x'=2*'", "RUN: x unpinned → 2*"),
        ("FROM a\nRUN yum install 'a-1'; x", "FROM a\nRUN yum install a; x", "RUN: a 1 → unpinned"),
        ("FROM a\nRUN yum install a; x", "FROM a\nRUN yum install b; y", "RUN: a removed, b added, x → y"),
        ("FROM a\nRUN <<E\nx\nE", "FROM a\nRUN <<E\ny\nE", "RUN: x → y"),
        ("FROM a\nRUN <<E\nset x 0\nE", "FROM a\nRUN <<E\nset x 1\nb c\nE", "RUN: set x 0 → set x 1; b c"),
        ("FROM a\nRUN <<E\nx y\nz\nE", "FROM a\nRUN <<E\nz\nE", "RUN: - x y"),
        ("FROM a\nRUN <<E\n  x\nE", "FROM a\nRUN <<E\nx\nE", "RUN: whitespace changed"),
        (f"FROM a\nRUN get b@{ONE}", f"FROM a\nRUN get b@{TWO}", "RUN: new digest"),
        ("FROM a\nRUN x", "FROM a\nRUN \x1b[1m", "RUN: x → \\x1b[1m"),
        ("# escape=`\nFROM a", "# escape=\\\nFROM a", "# escape: ` → \\"),
        ("FROM a", "# syntax=b\nFROM a", "# syntax: none → b"),
    ],
)
def test_summary_of_a_change(old: str, new: str, summary: str) -> None:
    assert summaries(old, new) == [summary]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("FROM a\nRUN x  &&  y", "FROM a\nRUN x && \\\n    y"),
        ("FROM a\n# why\nUSER b", "FROM a\n\n\nuser   b"),
        ("FROM a\nRUN x \\\n  # one\n  && y", "FROM a\nRUN x \\\n  # two\n  && y"),
    ],
)
def test_comments_and_whitespace_are_ignored(old: str, new: str) -> None:
    assert compare(old, new, "Dockerfile").steps == ()


def test_whitespace_in_quotes_counts() -> None:
    assert summaries('FROM a\nRUN echo "a  b"', 'FROM a\nRUN echo "a b"') == ["RUN: whitespace changed"]


def test_step_has_the_lines_of_both_files() -> None:
    (step,) = compare("FROM a\nUSER b", "FROM a\n\n# c\nUSER d", "Dockerfile").steps
    assert (step.kind, step.before_line, step.after_line) == (Kind.CHANGED, 2, 4)


def test_env_is_compared_with_the_one_of_the_same_name() -> None:
    old, new = "FROM a\nENV A=1\nENV B=1", "FROM a\nENV B=2\nENV A=2"
    assert summaries(old, new) == ["ENV: A 1 → 2", "ENV: B 1 → 2"]


def test_moved_instruction() -> None:
    old, new = "FROM a\nUSER b\nRUN c\nENV D=1", "FROM a\nRUN c\nUSER b\nENV D=2"
    steps = compare(old, new, "Dockerfile").steps
    assert [(step.summary, step.before_line, step.after_line) for step in steps] == [
        ("RUN moved: c", 3, 2),
        ("ENV: D 1 → 2", 4, 4),
    ]


def test_moved_and_duplicated_instruction() -> None:
    old, new = "FROM a\nRUN c\nUSER b", "FROM a\nUSER b\nRUN c\nRUN c"
    assert summaries(old, new) == ["USER moved: b", "RUN added: c"]


def test_key_depends_on_the_change_only() -> None:
    first = compare(f"FROM a:1@{ONE}\nENV V=1\nUSER x", f"FROM a:1@{TWO}\nENV V=1\nUSER y", "f")
    other = compare(f"FROM a:1@{TWO}\nENV V=2\nUSER x", f"FROM a:1@{ONE}\nENV V=2\nUSER y", "g")
    assert first.key == other.key


def test_invalid_file_is_named() -> None:
    with pytest.raises(InputError) as caught:
        compare("FROM a", "", "Dockerfile")
    assert str(caught.value) == "Dockerfile: has no instructions; a Dockerfile begins with FROM"


def test_package_moves() -> None:
    assert package_moves({"a": "1", "b": "", "c": "1"}, {"a": "2", "c": "1", "d": ""}) == (
        PackageMove(name="a", before="1", after="2"),
        PackageMove(name="b", before="", after=None),
        PackageMove(name="d", before=None, after=""),
    )
