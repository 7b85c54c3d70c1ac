"""The origins of rendered lines: template lines and printed expressions."""

from __future__ import annotations

import pytest

from dfgen.errors import InputError, Place
from dfgen.templating import TemplateOptions, Templates
from dfgen.templating.origins import LineOrigin, check_same
from tests.unit.templating.composed import COMPOSED, PACKAGES
from tests.unit.templating.helpers import TemplateFolder, origins

AS_IN_JINJA = TemplateOptions(trim_blocks=False, lstrip_blocks=False)


def chains(found: tuple[LineOrigin, ...]) -> list[str]:
    """Format every line with its stack: `RUN a < m.j2:2 < x.j2:5`."""
    return [
        " < ".join([line.text, *(str(place).removeprefix("t/") for place in line.stack)]) for line in found
    ]


LINES = {
    "plain text": (
        "FROM a\n\nRUN b\n",
        ["FROM a < x.j2:1", " < x.j2:2", "RUN b < x.j2:3"],
    ),
    "no line feed at the end": ("FROM a\nRUN b", ["FROM a < x.j2:1", "RUN b < x.j2:2"]),
    "nothing": ("{# a #}", [" < x.j2:1"]),
    "blank lines at the end": ("RUN a\n\n\n", ["RUN a < x.j2:1"]),
    "conditions": (
        "{% if true %}\nRUN a\n{% else %}\nRUN b\n{% endif %}\n{# c\n d #}\nRUN c\n",
        ["RUN a < x.j2:2", "RUN c < x.j2:8"],
    ),
    "white space control": (
        "{%- if true -%}\n\n\n  RUN a\n\n{%- endif %}\n\n\n{{- '' }}\nRUN b\n",
        ["RUN a < x.j2:4", "RUN b < x.j2:10"],
    ),
    "a loop": (
        "{% for p in 'ab' %}\nRUN x \\\n  {{ p }}\n{% endfor %}\n",
        ["RUN x \\ < x.j2:2", "  a < x.j2:3", "RUN x \\ < x.j2:2", "  b < x.j2:3"],
    ),
    "a recursive loop": (
        "{% for p in [[[]]] recursive %}\nRUN a\n{{ loop(p) }}\n{% endfor %}\n",
        ["RUN a < x.j2:2 < x.j2:1", "RUN a < x.j2:2 < x.j2:3 < x.j2:1"],
    ),
    "a macro": (
        "{% macro m(x) %}\nRUN {{ x }}\nRUN c\n{%- endmacro %}\nRUN a\n\n{{ m('b') }}\n",
        ["RUN a < x.j2:5", " < x.j2:6", "RUN b < x.j2:2 < x.j2:7", "RUN c < x.j2:3 < x.j2:7"],
    ),
    "a call block": (
        "{% macro m() %}\nRUN a\n{{ caller() }}\n{%- endmacro %}\n{% call m() %}\nRUN b\n{% endcall %}\n",
        ["RUN a < x.j2:2 < x.j2:5", "RUN b < x.j2:6 < x.j2:3 < x.j2:5"],
    ),
    "a set block": (
        "{% set x %}\nRUN a\nRUN b\n{%- endset %}\n\n{{ x }}\n",
        [" < x.j2:5", "RUN a < x.j2:2 < x.j2:6", "RUN b < x.j2:3 < x.j2:6"],
    ),
    "a filter block": (
        "{% filter upper %}\nRun a\nRun b\n{% endfilter %}\nRUN c\n",
        ["RUN A < x.j2:2 < x.j2:1", "RUN B < x.j2:3 < x.j2:1", "RUN c < x.j2:5"],
    ),
    "indent": (
        "RUN a \\\n{% filter indent(2, true) %}\nb \\\nc\n{% endfilter %}\n",
        ["RUN a \\ < x.j2:1", "  b \\ < x.j2:3 < x.j2:2", "  c < x.j2:4 < x.j2:2"],
    ),
    "trim": (
        "{% filter trim %}\n\n\n  RUN a\n\n{% endfilter %}\n\nRUN b\n",
        ["RUN a < x.j2:4 < x.j2:1", "RUN b < x.j2:8"],
    ),
    "replace that joins lines": (
        "{% filter replace('\\n&', ' &') %}\nRUN a\n&& b\nRUN c\n&& d\n{% endfilter %}\n",
        ["RUN a && b < x.j2:2 < x.j2:1", "RUN c && d < x.j2:4 < x.j2:1"],
    ),
    "replace that parts lines": (
        "{% filter replace(';', '\\nRUN ') %}\nRUN a;b\nRUN c\n{% endfilter %}\n",
        ["RUN a < x.j2:2 < x.j2:1", "RUN b < x.j2:2 < x.j2:1", "RUN c < x.j2:3 < x.j2:1"],
    ),
    "join of composed text": (
        "{% macro m(p) %}\nRUN {{ p }}\n{%- endmacro %}\n{% set x = [m('a'), m('b')] %}\n\n{{ x | join('\\n') }}\n",
        [" < x.j2:5", "RUN a < x.j2:2 < x.j2:4 < x.j2:6", "RUN b < x.j2:2 < x.j2:4 < x.j2:6"],
    ),
    "raw text": ("RUN a\n{% raw %}\nRUN {{ b }}\n{% endraw %}\nRUN c\n",
                 ["RUN a < x.j2:1", " < x.j2:2", "RUN {{ b }} < x.j2:3", "RUN c < x.j2:5"]),
    "an expression of several lines": (
        "RUN a\nRUN {{\n  'b'\n  ~ 'c'\n}}\nRUN d\n",
        ["RUN a < x.j2:1", "RUN bc < x.j2:2", "RUN d < x.j2:6"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "lines"), LINES.values(), ids=LINES)
def test_a_line_has_its_template_lines(text: str, lines: list[str], folder: TemplateFolder) -> None:
    assert chains(origins(folder, text)) == lines


def test_lines_of_other_templates_have_their_callers(folder: TemplateFolder) -> None:
    found = origins(
        folder,
        "{% extends 'base.j2' %}\n{% import 'lib.j2' as lib %}\n\n{% block body %}\nRUN b\n{{ super() }}"
        "{{ lib.m() }}\n{% include 'part.j2' %}\n{% endblock %}\n",
        base="FROM a\n{% block head %}\nRUN h\n{% endblock %}\n{% block body %}\nRUN s\n{% endblock %}\nRUN z\n",
        lib="{% macro m() %}\nRUN m\n{%- endmacro %}\n",
        part="\nRUN p\n",
    )
    assert chains(found) == [
        "FROM a < base.j2:1 < x.j2:1",
        "RUN h < base.j2:3 < x.j2:1",
        "RUN b < x.j2:5 < base.j2:5 < x.j2:1",
        "RUN s < base.j2:6 < x.j2:6 < base.j2:5 < x.j2:1",
        "RUN m < lib.j2:2 < x.j2:6 < base.j2:5 < x.j2:1",
        " < part.j2:1 < x.j2:7 < base.j2:5 < x.j2:1",
        "RUN p < part.j2:2 < x.j2:7 < base.j2:5 < x.j2:1",
        "RUN z < base.j2:8 < x.j2:1",
    ]


def test_a_caller_that_appears_twice_is_listed_twice(folder: TemplateFolder) -> None:
    call = "{% macro c() %}\n{{ caller() }}\n{%- endmacro %}\n{% call c() %}\n{% include 'part.j2' %}\n{% endcall %}\n"
    found = origins(folder, call, part="{% call c() %}\nRUN a\n{% endcall %}\n")
    assert chains(found) == ["RUN a < part.j2:2 < x.j2:2 < part.j2:1 < x.j2:5 < x.j2:2 < x.j2:4"]


def test_without_trimming_a_tag_line_has_its_own_origin(folder: TemplateFolder) -> None:
    folder.options = AS_IN_JINJA
    found = origins(folder, "RUN a\n  {% if true %}\nRUN b\n  {% endif %}\nRUN c\n")
    assert chains(found) == [
        "RUN a < x.j2:1",
        "   < x.j2:2",
        "RUN b < x.j2:3",
        "   < x.j2:4",
        "RUN c < x.j2:5",
    ]


def test_other_parts_of_a_line_have_their_own_origin(folder: TemplateFolder) -> None:
    [line] = origins(folder, "{% macro m() %}b{% endmacro %}\nRUN a \\\n{{- m() }} {{ m() }}\n")
    assert line.text == "RUN a \\b b"
    assert line.stack == (Place("t/x.j2", 2),)
    assert line.other_stacks == ((Place("t/x.j2", 1), Place("t/x.j2", 3)),)


EXPRESSIONS = [
    ("RUN {{ a }}", [("a", ["a"])]),
    ("RUN {{ a.b[c] | default(d) }}", [("a.b[c] | default", ["a", "c", "d"])]),
    ("RUN x{{ '' }}{{ e }}", [("e", ["e"])]),
    ("{% set x = a ~ c %}RUN {{ x }}", [("x", ["a", "c"])]),
    ("{% for x in l %}RUN {{ x }}{% endfor %}", [("x", ["l"])]),
    ("{% for x in l %}{% include 'i.j2' %}{% endfor %}", [("x", ["l"])]),
    ("{% with x = a %}RUN {{ x }}{% endwith %}", [("x", ["a"])]),
    ("{% set ns = namespace(x=1) %}{% set ns.x = a %}RUN {{ ns.x }}", [("ns.x", ["a", "namespace"])]),
    ("{% set c = c ~ a %}RUN {{ c }}", [("c", ["a", "c"])]),
    ("{% set x %}y{{ a }}{% endset %}RUN {{ x }}", [("x", ["a"]), ("a", ["a"])]),
    ("{% macro m(a) %}{{ a }}{% endmacro %}RUN {{ m(c) }}", [("a", []), ("m(…)", ["c", "m"])]),
    (
        "{% set ns = namespace(t='') %}{% for x in l %}{% set ns.t = ns.t ~ x %}{% endfor %}RUN {{ ns.t }}",
        [("ns.t", ["l", "namespace", "ns"])],
    ),
    (
        "{% macro m(x) %}{{ x }}{{ caller() }}{% endmacro %}RUN {% call m(c) %} {{ d }}{% endcall %}",
        [("x", []), ("m(…)", ["c", "m"]), ("caller(…)", ["caller"]), ("d", ["d"])],
    ),
    ("{% filter upper %}RUN {{ c }}{% endfilter %}", [("c", ["c"])]),
    ("RUN {{ p }}", [("p", ["p"])]),
    ("RUN {{ p | raw }}", [("p | raw", ["p"])]),
    ("RUN {{ s }}", [("s", ["s"])]),
]


@pytest.mark.parametrize(("text", "expressions"), EXPRESSIONS)
def test_a_line_has_its_printed_expressions(
    text: str, expressions: list[tuple[str, list[str]]], folder: TemplateFolder
) -> None:
    given = {"a": {"b": {}}, "c": "c", "d": "d", "e": "", "l": "l", "p": "p", "s": "s"}
    if "a." not in text:
        given["a"] = "a"
    folder.snippets = frozenset("s")
    [line] = origins(folder, text, given, i="RUN {{ x }}")
    assert [(one.text, list(one.names)) for one in line.expressions] == expressions


def test_an_expression_has_its_place(folder: TemplateFolder) -> None:
    [_, line] = origins(folder, "RUN a\nRUN b \\\n{{- c }}\n", {"c": "c"})
    assert [one.place for one in line.expressions] == [Place("t/x.j2", 3)]


@pytest.mark.parametrize("text", [text for text, _ in COMPOSED])
def test_tracing_does_not_change_the_result(text: str, folder: TemplateFolder) -> None:
    given = {**PACKAGES, "users": [{"name": "x"}, {"name": "y z"}], "e": ""}
    rendered = folder.render(text, given)
    found = Templates(folder.root, "t").origins("x.j2", given)
    assert "".join(f"{line.text}\n" for line in found) == rendered
    assert all(line.stack[-1].file == "t/x.j2" for line in found)


def test_a_multi_line_value_has_one_template_line(folder: TemplateFolder) -> None:
    found = origins(folder, "COPY <<'E' /x\na\n{{ v }}\nb\nE\nRUN c\n", {"v": "1\n2\n\n"})
    assert chains(found) == [
        "COPY <<'E' /x < x.j2:1",
        "a < x.j2:2",
        "1 < x.j2:3",
        "2 < x.j2:3",
        " < x.j2:3",
        " < x.j2:3",
        "b < x.j2:4",
        "E < x.j2:5",
        "RUN c < x.j2:6",
    ]


def test_an_error_in_a_template_has_no_origins(folder: TemplateFolder) -> None:
    (folder.root / "x.j2").write_text("RUN a\nRUN {{ b }}\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        Templates(folder.root, "t").origins("x.j2", {})
    assert str(caught.value) == "t/x.j2:2: 'b' is not defined"


def test_origins_of_another_text_are_rejected() -> None:
    found = (LineOrigin(text="RUN a", stack=()), LineOrigin(text="RUN b", stack=()))
    check_same(found, "RUN a\nRUN b\n", Place("t/x.j2"))
    with pytest.raises(InputError) as caught:
        check_same(found, "RUN a\n", Place("t/x.j2"))
    assert str(caught.value) == (
        "t/x.j2: line 2 renders differently when it is traced; this is a bug in dfgen, please report it"
    )
