"""The blocks of a Dockerfile, and the risks of many files with the same change."""

from __future__ import annotations

import pytest

from dfgen.reviewing.blocks import blocks, changes
from dfgen.reviewing.records import Group, Kind, State
from dfgen.reviewing.risks import instructions


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("", []),
        ("FROM a\nRUN b\n", ["FROM a\n", "RUN b\n"]),
        ("FROM a\n\n# c\nRUN b", ["FROM a\n", "\n", "# c\n", "RUN b"]),
        ("RUN a \\  \n # c\n  # d \\\n  b\nRUN e\n", ["RUN a \\  \n # c\n  # d \\\n  b\n", "RUN e\n"]),
        ("RUN a \\", ["RUN a \\"]),
        ("RUN a \\\n\nb\n", ["RUN a \\\n\n", "b\n"]),
        ("RUN <<END\nx\nEND\n", None),
        ("# escape=`\nRUN a `\n b\n", None),
    ],
)
def test_blocks(text: str, cut: list[str] | None) -> None:
    assert blocks(text) == cut


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


def test_the_risk_of_many_files_is_reported_once() -> None:
    old = {f"{number}": f"FROM a:{number}\nENV V={number}\nUSER 1\n" for number in range(9)}
    new = {name: text.replace("USER 1", "USER 0") for name, text in old.items()}
    group = Group(kind=Kind.ADDED, title="", steps=(), hunk=(), files=tuple(old))
    (risk,) = instructions.of_groups(State(dockerfiles=old), State(dockerfiles=new), [group])
    assert (str(risk.place), risk.message.endswith(" (in 9 files)")) == ("0:3", True)
