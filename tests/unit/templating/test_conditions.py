"""The conditions and loops around a line, and the macro arguments that they depend on."""

from __future__ import annotations

import pytest

from tests.unit.templating.helpers import TemplateFolder, origins

GIVEN = {"a": "a", "b": "b", "e": "", "l": ["x", "y"], "n": 1}

# A template beside `lib.j2` and `part.j2`, with the conditions of its last line and the names in them.
CONDITIONS = {
    "none": ("RUN {{ a }}", []),
    "if": ("{% if a %}\nRUN c\n{% endif %}", ["if a: a"]),
    "a test": ("{% if a == 'a' and not e %}\nRUN c\n{% endif %}", ["if a == 'a' and not e: a e"]),
    "elif": ("{% if e %}\nRUN b\n{% elif n > 0 %}\nRUN c\n{% endif %}", ["if e: e", "elif n > 0: n"]),
    "else": ("{% if e %}\nRUN b\n{% else %}\nRUN c\n{% endif %}", ["if e: e"]),
    "beside": ("{% if a %}\nRUN b\n{% endif %}\nRUN c", []),
    "after else": ("{% if e %}\nRUN a\n{% else %}\nRUN b\n{% endif %}\nRUN c", []),
    "nested": ("{% if a %}\n{% if b %}\nRUN c\n{% endif %}\n{% endif %}", ["if a: a", "if b: b"]),
    "in a line": ("RUN c{% if a is defined %} d{% endif %} e", ["if a is defined: a"]),
    "for": ("{% for x in l %}\nRUN c\n{% endfor %}", ["for x in l: l"]),
    "for with if": ("{% for x in l if x != b %}\nRUN c\n{% endfor %}", ["for x in l if x != b: b l"]),
    "for of pairs": ("{% for x, y in [(a, b)] %}\nRUN c\n{% endfor %}", ["for x, y in …: a b"]),
    "for else": ("{% for x in e %}\n{% else %}\nRUN c\n{% endfor %}", ["for x in e: e"]),
    "recursive": ("{% for x in [l] recursive %}\nRUN c\n{% endfor %}", ["for x in …: l"]),
    "a loop's variable": (
        "{% for x in l %}\n{% if x == 'y' %}\nRUN c\n{% endif %}\n{% endfor %}",
        ["for x in l: l", "if x == 'y': l"],
    ),
    "a variable that is set": ("{% set s = a %}{% if s %}\nRUN c\n{% endif %}", ["if s: a"]),
    "with": ("{% with w = a %}{% if w %}\nRUN c\n{% endif %}{% endwith %}", ["if w: a"]),
    "a set block": ("{% set s %}{% if a %}RUN c{% endif %}{% endset %}\n{{ s }}", ["if a: a"]),
    "a set block that is shown": ("{% set s %}RUN c{% endset %}\n{% if a %}\n{{ s }}\n{% endif %}", ["if a: a"]),
    "include": ("{% if a %}\n{% include 'part.j2' %}\n{% endif %}", ["if n: n", "if a: a"]),
    "a macro without": ("{% macro m(x) %}RUN c{% endmacro %}{{ m(a) }}", []),
    "a macro in a condition": (
        "{% if a %}\n{% macro m() %}RUN c{% endmacro %}\n{% endif %}\n{% if b %}\n{{ m() }}\n{% endif %}",
        ["if b: b"],
    ),
    "a macro that decides": (
        "{% macro m(x) %}{% if x %}RUN c{% endif %}{% endmacro %}\n{{ m(a) }}",
        ["if x: ", "m(…): a m"],
    ),
    "a macro that passes on": (
        "{% macro i(y) %}{% if y %}RUN c{% endif %}{% endmacro %}\n{% macro m(x) %}\n{{ i(x) }}{% endmacro %}\n{{ m(a) }}",
        ["if y: ", "i(…): i", "m(…): a m"],
    ),
    "a macro of another template": (
        "{% from 'lib.j2' import each %}\n{% if b %}\n{{ each(l) }}\n{% endif %}",
        ["for x in given: ", "each(…): each l", "if b: b"],
    ),
    "a call block": (
        "{% macro m(x) %}{% if x %}{{ caller() }}{% endif %}{% endmacro %}\n{% call m(a) %}{% if b %}RUN c{% endif %}{% endcall %}",
        ["if b: b", "if x: ", "m(…): a m"],
    ),
    "a block": ("{% if a %}\n{% block q %}{% if b %}RUN c{% endif %}{% endblock %}\n{% endif %}", ["if a: a", "if b: b"]),
    "a parent's block": ("{% extends 'base.j2' %}{% block q %}{% if b %}RUN c{% endif %}{% endblock %}", ["if b: b", "if a: a"]),
    "filter": ("{% filter upper %}{% if a %}RUN c{% endif %}{% endfilter %}", ["if a: a"]),
}  # fmt: skip
OTHERS = {
    "lib": "{% macro each(given) %}{% for x in given %}RUN c\n{% endfor %}{% endmacro %}",
    "part": "{% if n %}RUN c{% endif %}",
    "base": "{% if a %}\n{% block q %}{% endblock %}\n{% endif %}",
}


@pytest.mark.parametrize(("text", "conditions"), CONDITIONS.values(), ids=CONDITIONS)
def test_a_line_has_its_conditions(text: str, conditions: list[str], folder: TemplateFolder) -> None:
    *_, line = origins(folder, f"{text}\n", GIVEN, **OTHERS)
    assert [f"{one.text}: {' '.join(one.names)}" for one in line.conditions] == conditions


def test_a_condition_has_its_place(folder: TemplateFolder) -> None:
    [line] = origins(folder, "{% if a %}\n{% include 'part.j2' %}\n{% endif %}\n", GIVEN, **OTHERS)
    assert [str(one.place) for one in line.conditions] == ["t/part.j2:1", "t/x.j2:1"]
