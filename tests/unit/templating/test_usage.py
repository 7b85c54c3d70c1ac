"""The templates that an image is made from, compared with those that Jinja loads."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import FunctionLoader

from dfgen.templating.environment import Sandbox
from dfgen.templating.usage import made_from, usages

_NAMES = ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{% include 'b' %}", "ab"),
        ("{%- include 'b' -%}", "ab"),
        ("{%+ include 'b' %}", "ab"),
        ("{% include'b' %}", "ab"),
        ("{% include('b') %}", "ab"),
        ("{% include '' ~ 'b' %}", "ab"),
        (r"{% include '\x62' %}", "ab"),
        ("{% include 'B' | lower %}", "ab"),
        ("{% include ['b'][0] %}", "ab"),
        ("{% include 'b' if true else 'c' %}", "ab"),
        ("{% include './b' %}", "ab"),
        ("{% include ['c', 'b'] ignore missing %}", "abc"),
        ("{% import 'b' as x with context %}", "ab"),
        ("{% from 'b' import x %}", "ab"),
        ("{% extends 'b' %}", "ab"),
        ("{% block x %}{% if false %}{% include 'b' %}{% endif %}{% endblock %}", "ab"),
        ("{# {% include 'b' %} #}{% raw %}{% include 'c' %}{% endraw %}{{ '{% include \"d\" %}' }}", "a"),
        ("{% include 'b' if x else 'c' %}", "abcd"),
        ("{% include ['b', x] %}", "abcd"),
        ("{% include x %}", "abcd"),
        ("{% set x = 'b' %}{% include x %}", "abcd"),
        ("{%- from x import y -%}", "abcd"),
        ("{% extends x %}", "abcd"),
    ],
)
def test_one_statement(text: str, found: str) -> None:
    known = usages({"a": text, "b": "", "c": "", "d": ""})
    assert made_from("a", known) == frozenset(found)


def test_indirectly_loaded_templates() -> None:
    texts = {"a": "{% include 'b' %}", "b": "{% extends 'c' %}", "c": "{% include 'a' %}", "d": ""}
    assert made_from("a", usages(texts)) == frozenset("abc")
    assert made_from("d", usages(texts)) == {"d"}


def test_a_template_that_does_not_exist_or_is_broken_is_named() -> None:
    texts = {"a": "{% include 'gone' ignore missing %}{% include 'b' %}", "b": "{% include"}
    assert made_from("a", usages(texts)) == {"a", "b", "gone"}


# Spellings of a name ({1} is in upper case), and statements that load a template.
_SPELLINGS = (
    "'{0}'",
    "('{0}')",
    "'./{0}'",
    "'' ~ '{0}'",
    "'{0}' ~ ''",
    "'{0}'.strip()",
    "'{1}' | lower",
    "['gone', '{0}']",
    "('gone', '{0}')",
    "'{0}' if yes else 'c'",
    "names['{0}']",
    "[names['{0}'], 'gone']",
    "'' + '{0}'",
)
_STATEMENTS = (
    "{{% include {0} %}}",
    "{{%- include {0} ignore missing with context -%}}",
    "{{% include {0} without context %}}",
    "{{% import {0} as m %}}",
    "{{% from {0} import m %}}",
    "{{% if yes %}}{{% include {0} %}}{{% endif %}}",
    "{{% macro m() %}}{{% include {0} %}}{{% endmacro %}}{{{{ m() }}}}",
    "{{% set x %}}{{% include {0} %}}{{% endset %}}",
    "{{% for i in [1] %}}{{% include {0} %}}{{% endfor %}}",
    "{{# {{% include {0} %}} #}}",
)


def _statement(shape: str, spelling: str, name: str) -> str:
    is_list = spelling[0] in "[(" and "," in spelling and "import" in shape
    return shape.format(("'{0}'" if is_list else spelling).format(name, name.upper()))


@st.composite
def _folders(draw: st.DrawFn) -> dict[str, str]:
    """Draw templates of which each loads only later ones, so that none loads itself."""
    texts = {}
    for at, name in enumerate(_NAMES):
        later = st.sampled_from(_NAMES[at + 1 :]) if at + 1 < len(_NAMES) else st.nothing()
        shapes = st.builds(_statement, st.sampled_from(_STATEMENTS), st.sampled_from(_SPELLINGS), later)
        texts[name] = "".join(draw(st.lists(shapes, max_size=2))) + "{% macro m() %}{% endmacro %}"
    if draw(st.booleans()):
        texts["a"] = "{% extends names['b'] %}" + texts["a"]
    return texts


def _loaded(texts: Mapping[str, str]) -> set[str]:
    """Render `a` with Jinja and return the templates that it loaded."""
    found: set[str] = set()

    def load(name: str) -> str | None:
        name = name.removeprefix("./")
        if name in texts:
            found.add(name)
        return texts.get(name)

    environment = Sandbox(loader=FunctionLoader(load))
    environment.globals.update(names={name: name for name in _NAMES}, yes=True)  # imports see them too
    environment.get_template("a").render()
    return found


@settings(max_examples=100, deadline=None)
@given(_folders())
def test_every_template_that_jinja_loads_is_found(texts: dict[str, str]) -> None:
    assert _loaded(texts) <= made_from("a", usages(texts))
