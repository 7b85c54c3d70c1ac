"""With any value, a render has the same instructions as with a harmless value, or is rejected."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings

from dfgen.dockerfile.lexer import unquote
from dfgen.errors import InputError
from dfgen.templating import Templates
from tests.unit.dockerfile.oracle import Judged, Oracle
from tests.unit.templating.positions import DIRECTIVE_PLACES, HOSTILE, POSITIONS

HEADS = {"backslash": "FROM busybox\n", "backtick": "# escape=`\nFROM busybox\n"}
TAIL = "\nUSER end\nRUN end\n"
HARMLESS = "x"


def written(escape: str, line: str) -> str:
    """Return the template of a position; line continuations follow the escape directive."""
    text = HEADS[escape] + line + TAIL
    return text.replace("\\\n", "`\n").replace(r"\\\n", r"`\n") if escape == "backtick" else text


TEMPLATES = {
    f"{name} {escape}": written(escape, line) for escape in HEADS for name, line in POSITIONS.items()
} | {name: f"{line}{TAIL}" for name, line in DIRECTIVE_PLACES.items()}


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    root = tmp_path_factory.mktemp("places")
    for name, text in TEMPLATES.items():
        (root / name).write_text(text, encoding="utf-8")
    return Templates(Path(root), "templates")


def rendered(templates: Templates, name: str, value: str) -> str | None:
    """Render; None if the value is rejected, with printable messages that have a place."""
    try:
        return templates.render(name, {"v": value})
    except InputError as error:
        for problem in error.problems:
            assert problem.place is not None
            assert problem.place.file == f"templates/{name}"
            assert str(problem).isprintable(), problem
        return None


def shape(instructions: list[Judged] | str) -> object:
    """Return the parts that must not depend on a value."""
    if isinstance(instructions, str):
        return instructions
    return [
        (i.keyword, i.trigger, i.is_json, [f.partition("=")[0] for f in i.flags], [h[0] for h in i.heredocs],
         len(i.words))
        for i in instructions
    ]  # fmt: skip


@pytest.fixture(scope="module")
def harmless(templates: Templates, oracle: Oracle) -> dict[str, object]:
    texts = {name: text for name in TEMPLATES if (text := rendered(templates, name, HARMLESS)) is not None}
    return dict(zip(texts, map(shape, oracle.parse_all(texts.values())), strict=True))


def test_a_harmless_value_is_accepted_in_most_positions(harmless: dict[str, object]) -> None:
    refused = {
        name.removesuffix(" backslash").removesuffix(" backtick") for name in set(TEMPLATES) - set(harmless)
    }
    assert refused == {
        "run heredoc name", "copy heredoc name", "health check kind", "from as", "flag name",
        "onbuild keyword", "keyword", "line", "keyword part", "unknown instruction", "escape", "before from",
    }  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(value=HOSTILE)
@example(value="a\\")
@example(value="")
@example(value="\nUSER evil")
@example(value="#")
@example(value="--network=host")
@example(value="3")
@example(value='" <<EOF "')
@example(value='["a"]')
@example(value="a=b")
def test_no_value_changes_the_meaning_of_the_file(
    value: str, templates: Templates, harmless: dict[str, object], oracle: Oracle
) -> None:
    texts = {name: text for name in TEMPLATES if (text := rendered(templates, name, value)) is not None}
    if value:
        assert set(texts) <= set(harmless)
    shapes = dict(zip(texts, map(shape, oracle.parse_all(texts.values())), strict=True))
    assert {name: texts[name] for name in texts if shapes[name] != harmless.get(name, shapes[name])} == {}


@settings(max_examples=60, deadline=None)
@given(value=HOSTILE)
@pytest.mark.parametrize("escape", ["backslash", "backtick"])
def test_env_and_label_receive_the_exact_value(
    escape: str, value: str, templates: Templates, oracle: Oracle
) -> None:
    sign = {"backslash": "\\", "backtick": "`"}[escape]
    names = {f"{name} {escape}": name for name in POSITIONS if name.startswith(("label", "env", "arg"))}
    texts = {name: text for name in names if (text := rendered(templates, name, value)) is not None}
    for name, judged in zip(texts, oracle.parse_all(texts.values()), strict=True):
        assert not isinstance(judged, str)
        words = judged[1].words
        values = [unquote(word, sign, {"X": "<X>"}) for word in words]
        assert values == expected(names[name], value, values), (name, texts[name])


def expected(name: str, value: str, values: list[str]) -> list[str]:
    """Return the words of a position, with quotes and variables resolved."""
    known = {
        "label last": ["b", "c", "a", value],
        "label key": [value, "a", "b", "c"],
        "label key part": [f"x.{value}.y", "a", "b", "c"],
        "label key quoted": [value, "a", "b", "c"],
        "label old": ["a", value],
        "label lines": ["a", value, "b", value, "c", "d"],
        "label line of its own": ["b", "c", value, "d"],
        "label open quote": ["a", f"x {value}", "b", "c"],
        "env part": ["a", f"x{value}y", "b", "c"],
        "env two": ["a", value * 2, "b", "c"],
        "env after variable": ["a", f"<X>{value}", "b", "c"],
        "env quoted after variable": ["a", f"<X>{value}", "b", "c"],
        "env in braces": ["a", "<X>", "b", "c"],
        "env old": ["a", value],
        "env key": [value, "a", "b", "c"],
        "arg": [f"a={value}", "b"],
        "arg name": [value],
    }
    if name in ("env after backslash", "env variable"):
        return values
    return known.get(name, ["a", value, "b", "c"])
