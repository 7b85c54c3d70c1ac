"""What is alike is looked at once: the blocks of a Dockerfile, and what its risks depend on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from itertools import product

import pytest

from dfgen.reviewing.blocks import blocks, changes
from dfgen.reviewing.records import Group, Kind, State
from dfgen.reviewing.risks import instructions
from dfgen.reviewing.risks.essence import essence


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


def _risks(old: str, new: str) -> list[tuple[str, str, str]]:
    group = Group(kind=Kind.ADDED, title="", steps=(), hunk=(), files=("f",))
    states = State(dockerfiles={"f": old}), State(dockerfiles={"f": new})
    return sorted((one.rule, one.level, one.message) for one in instructions.of_groups(*states, [group]))


# Every line that a Dockerfile here may have at its place; all combinations are looked at.
_LINES = (
    ("FROM a\n", "FROM b\n", "FROM a AS one\nUSER root\nFROM one\n"),
    ("", "ENV who=root\n", "ENV who=1\n", "ENV a_token=x\n", "ARG who\n"),
    ("", "RUN x https://u:secret@h/\n", "ADD https://h/x /\n"),
    ("", "USER root\n", "USER 1\n", "USER $who\n"),
)


def test_files_that_are_alike_in_what_matters_have_the_same_risks() -> None:
    texts = ["".join(lines) for lines in product(*_LINES)]
    found: dict[Hashable, set[tuple[tuple[str, str, str], ...]]] = defaultdict(set)
    pairs = [(old, new) for at, old in enumerate(texts) for new in texts[at % 13 :: 13]]
    for old, new in pairs:
        found[essence(old, new)].add(tuple(_risks(old, new)))
    assert [risks for risks in found.values() if len(risks) > 1] == []
    assert len(found) < len(pairs)  # else nothing is saved


def test_many_files_are_looked_at_once() -> None:
    old = {f"{number}": f"FROM a:{number}\nENV V={number}\nUSER 1\n" for number in range(9)}
    new = {name: text.replace("USER 1", "USER 0") for name, text in old.items()}
    assert len({essence(old[name], new[name]) for name in old}) == 1
    group = Group(kind=Kind.ADDED, title="", steps=(), hunk=(), files=tuple(old))
    (risk,) = instructions.of_groups(State(dockerfiles=old), State(dockerfiles=new), [group])
    assert (str(risk.place), risk.message.endswith(" (in 9 files)")) == ("0:3", True)
