"""The stages of a Dockerfile: parents, SHELL, USER and variables, inherited by stage name."""

from __future__ import annotations

import pytest

from dfgen.dockerfile import parse
from dfgen.dockerfile.stages import DEFAULT_SHELL, Stages, stages


def walk(text: str) -> Stages:
    return stages(parse(text))


def test_a_parent_is_available_as_written_and_expanded() -> None:
    text = "ARG V=1 N=low\nFROM --platform=$BUILDPLATFORM a:$V@x AS Low\nRUN b\nFROM ${N}\nFROM Low AS z\nFROM b c"
    found = walk(text)
    assert [(one.index, one.name, one.parent, one.reference, one.line) for one in found.all] == [
        (0, "low", "a:$V@x", "a:1@x", 2),
        (1, "", "${N}", "low", 4),
        (2, "z", "Low", "Low", 5),
        (3, "", "b", "b", 6),
    ]
    assert [one.platform for one in found.all] == ["$BUILDPLATFORM", None, None, None]
    assert [one.base and one.base.index for one in found.all] == [None, 0, 0, None]
    assert [one.keyword for one in found.before] == ["ARG"]
    assert [one.text for one in found.all[0].instructions] == ["RUN b"]


@pytest.mark.parametrize(
    ("text", "in_image"),
    [
        ("FROM a AS x\nFROM b AS y\nFROM x", [2, 0]),
        ("FROM a AS x\nFROM X AS x\nFROM x", [2, 1, 0]),
        ("ARG N=x\nFROM a AS x\nFROM b AS y\nFROM $N", [2, 0]),
        ("FROM x\nFROM a AS x", [1]),
        ("ARG a", []),
    ],
)
def test_the_stages_whose_layers_are_in_the_image(text: str, in_image: list[int]) -> None:
    assert [stage.index for stage in walk(text).in_image] == in_image


def test_shell_is_inherited_from_a_stage_and_from_an_image_of_the_catalog() -> None:
    text = 'FROM r/A:1@x AS a\nSHELL ["bash", "-c"]\nRUN b\nFROM a AS b\nRUN c\nSHELL ["cmd"]\nRUN d\nFROM b\nRUN e'
    found = stages(parse(text), {"r/a:1": ("zsh", "-c")})
    assert [(one.shell, one.last_shell) for one in found.all] == [
        (("zsh", "-c"), ("bash", "-c")),
        (("bash", "-c"), ("cmd",)),
        (("cmd",), ("cmd",)),
    ]
    scripts = [(one.text, one.shell, one.run.line) for stage in found.all for one in stage.scripts]
    assert scripts == [("b", ("bash", "-c"), 3), ("c", ("bash", "-c"), 5)]
    assert walk("FROM a").all[0].shell == DEFAULT_SHELL


def test_a_stage_inherits_users_and_variables() -> None:
    text = (
        "ARG U=app G=1\nFROM a AS a\nARG U\nARG V=2\nENV V=3 W='x y'\nUSER $U:$G\nONBUILD USER ${V}\n"
        "FROM A\nENV 'W'=z\nARG \"N\"\nADD $W-$V /b\n"
    )
    found = walk(text)
    below, end = found.all[0].end, found.end
    assert found.last
    assert found.last.end is end
    assert end.user
    assert (end.user.value, end.user.written, end.user.line) == ("app:", "$U:$G", 6)
    assert end.onbuild_user
    assert (end.onbuild_user.value, end.onbuild_user.keyword) == ("3", "ONBUILD USER")
    assert (below.environment, end.environment) == ({"V": "3", "W": "x y"}, {"V": "3", "W": "z"})
    assert (below.arguments, end.arguments) == ({"U": "app", "V": "2"}, {"U": "app", "V": "2", "N": ""})
    assert [(one.keyword, one.name, one.unquoted, one.value) for one in end.words] == [
        ("ENV", "W", "z", "z"),
        ("ARG", "N", "", ""),
        ("ADD", "", "$W-$V", "z-3"),
    ]
    assert [word.line for word in found.words] == [1, 1, 3, 4, 5, 5, 6, 7, 9, 10, 11]


def test_a_long_chain_of_stages_is_evaluated() -> None:
    found = walk("FROM a AS a\nUSER b\n" + "FROM a AS a\n" * 3_000)
    assert found.end.user
    assert len([*found.in_image]) == 3_001


def test_without_a_from_there_is_no_stage() -> None:
    found = walk("ARG A=1\nUSER $A")
    assert (found.all, found.last) == ((), None)
    assert found.end.user
    assert found.end.user.value == "1"


def test_an_unbalanced_quote_stays_as_written() -> None:
    found = walk('FROM "a\nUSER "b')
    assert [one.reference for one in found.all] == ['"a']
    assert found.end.user
    assert found.end.user.value == '"b'
