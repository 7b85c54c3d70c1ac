"""Errors of Jinja's parser and of Python: each names the line to fix, in the words of a template."""

from __future__ import annotations

import random
import re
import warnings
from pathlib import Path

import pytest

from dfgen.errors import InputError
from dfgen.templating import Templates
from tests.unit.templating.helpers import TemplateFolder

ROOT = Path(__file__).parents[3]

SYNTAX = [
    ("A\n{% if x %}\nB\nC", "2: {% if %} is never closed; add {% endif %}"),
    ("{% for a in b %}\n{% if x %}\n{% endfor %}", "3: {% endfor %} is inside the {% if %} of line 2; add {% endif %} before it"),
    ("{% if x %}{% endif %}\n{% endif %}", "2: {% endif %} has no {% if %}; remove it, or add the {% if %}"),
    ("{% if x %}\n{% else %}\n{% else %}\n{% endif %}", "3: {% else %} follows the {% else %} of the {% if %} of line 1; remove one of them"),
    ("{% if x %}\n{% elseif y %}\n{% endif %}", "2: unknown tag 'elseif' (did you mean 'elif'?)"),
    ("{% if x %}\n{% else if y %}\n{% endif %}", "2: {% else if … %} is not a tag; write {% elif … %}"),
    ("{% end if %}", "1: unknown tag 'end' (did you mean 'endif'?)"),
    ("{% else %}", "1: {% else %} has no {% if %}; remove it, or add the {% if %}"),
    ("{% set a %}\nB", "1: {% set %} without = begins a block that is never closed; write {% set NAME = VALUE %}"),
    ("{% set a = 1 %}\n{% macro m() %}\nB", "2: {% macro %} is never closed; add {% endmacro %}"),
    ("A\nRUN {{ x", "2: {{ is never closed; add }}"),
    ("A\nRUN {{ x\nRUN y }}", "2: {{ is not closed before 'RUN' on line 3; add }}"),
    ("{% if x\nRUN y\n{% endif %}", "1: {% is not closed before 'RUN' on line 2; add %}"),
    ("A\n{# x\nB", "2: {# is never closed; add #}"),
    ("A\n{% raw %}\nB", "2: {% raw %} is never closed; add {% endraw %}"),
    ("{% if a = 1 %}{% endif %}", "1: '=' does not compare; write =="),
    ("{% if a && b %}{% endif %}", "1: '&' is not an operator; write and"),
    ("{% if !a %}{% endif %}", "1: '!' is not an operator; write not"),
    ("{{ a ? 1 : 2 }}", "1: '?' is not an operator; write A if CONDITION else B"),
    ("{{ $a }}", "1: '$' is not part of a name; write {{ name }}"),
    ("{{ a @ b }}", "1: unexpected character '@' in an expression"),
    ('{{ "a }}', '1: a text that begins with " is never closed; add the second "'),
    ("{{ .Arch }}", "1: a name does not begin with a dot; put Go templates into {% raw %} … {% endraw %}"),
    ("{% if {{ a }} %}{% endif %}", "1: names within {% … %} and {{ … }} are written without {{ }}"),
    ("{{ a b }}", "1: expected }} or an operator before 'b'"),
    ("{{ a } }", "1: unexpected '}'; an expression ends with }}, and a tag with %}"),
    ("{{ (a }}", "1: expected ')' before '}'"),
    ("{{ a) }}", "1: unexpected ')'; check the brackets and the expression before it"),
    ("{{ }}", "1: an expression is missing before }}"),
    ("{{ a | }}", "1: a name is missing before }}"),
    ("{{ a. }}", "1: a name is missing after the dot"),
    ("{% for a of b %}{% endfor %}", "1: expected 'in' before 'of'"),
    ("{{ f(a=1, 2) }}", "1: arguments without a name go before those with a name"),
    ("{% block a-b %}{% endblock %}", "1: the name of a block contains '-'; use '_'"),
    ("{% set none = 1 %}", "1: true, false, none, numbers and texts cannot be assigned; use another name"),
    ("{% macro none() %}{% endmacro %}", "1: true, false and none cannot be assigned; use another name"),
    ("{% for loop in a %}{% endfor %}", "1: loop is Jinja's own; use another name"),
    ("{% macro m(a, b=1, c) %}{% endmacro %}", "1: non-default argument follows default argument"),
]  # fmt: skip

# What Jinja or Python cannot compile: without care, a traceback.
COMPILED = [
    ("A\n" + "{% for a in [1] %}" * 25 + "{% endfor %}" * 25, "2: too many blocks are nested in one another"),
    (
        "A\n" + "{% if 1 %}" * 200 + "{% endif %}" * 200,
        "2: an expression or a block is nested too deeply; split it",
    ),
    (
        "A\n{{ " + "(" * 900 + "1" + ")" * 900 + " }}",
        "2: an expression or a block is nested too deeply; split it",
    ),
    ("A\n{{ " + "-" * 3000 + "1 }}", "2: an expression or a block is nested too deeply; split it"),
    ("A\n\n{{ " + "1+" * 5000 + "1 }}", "3: an expression or a block is nested too deeply; split it"),
    ("A\n{{ " + "9" * 5000 + " }}", "2: a number has more than 4300 digits"),
    ("A\n{% macro m(a, a) %}{% endmacro %}", "2: two parameters have the name a"),
    ("A\n{{ m(a=1, a=2) }}", "2: the argument a is passed twice"),
]

RUNNING = [
    ("{{ 1 / 0 }}", "division by zero"),
    ("{{ n.x }}", "'n' has no 'x'"),
    ("{{ {}.x }}", "a mapping has no 'x'"),
    ("{{ n() }}", "a number cannot be called; remove the parentheses"),
    ("{{ n[1:] }}", "a number has no items; remove the […]"),
    ("{% for a in n %}{% endfor %}", "a number has no items; expected a list"),
    ("{% for a, b in [1] %}{% endfor %}", "a number cannot be assigned to several names"),
    ("{% for a, b in [[1, 2, 3]] %}{% endfor %}", "2 names are assigned, but there are more values"),
    ("{% for a, b in [[1]] %}{% endfor %}", "2 names are assigned, but the number of values is 1"),
    ("{{ n in n }}", "a number contains nothing; expected a list or a text"),
    ("{{ n in 'a' }}", "a text cannot contain a number"),
    ("{{ n - 'a' }}", "- cannot be used with a number and a text"),
    ("{{ n + 'a' }}", "+ cannot be used with a number and a text; join texts with ~"),
    ("{{ [1] + 'a' }}", "+ cannot be used with a list and a text; join texts with ~"),
    ("{{ 'a' * 'b' }}", "* cannot be used with a list or text and a text"),
    ("{{ -none }}", "- cannot be used with null"),
    ("{{ [1] < 2 }}", "< cannot compare a list with a number"),
    ("{{ {[1]: 2} }}", "a list cannot be a key, or be compared with keys"),
    ("{{ n | length }}", "a number has no length"),
    ("{{ 'x' | replace('a') }}", "wrong arguments for replace: missing 1 argument: 'new'"),
    ("{{ 'x' | upper(1) }}", "wrong number of arguments for upper"),
    ("{{ n is lt }}", "wrong number of arguments, or an argument with an unknown name"),
    ("{{ 'a' | format(1) }}", "there are more values than % in the text"),
    ("{{ '%s %s' | format(1) }}", "there are more % in the text than values"),
    ("{% set a = {} %}{% set a.b = 1 %}", "only a namespace has attributes that can be set; write {% set NAME = namespace() %}"),
    ("{% macro m() %}{% endmacro %}{% call m() %}{% endcall %}", "macro 'm' does not use caller(), so {% call %} cannot call it"),
    ("{{ 1.5[0] }}", "a number has no 0"),
]  # fmt: skip


def message(folder: TemplateFolder, text: str) -> str:
    with pytest.raises(InputError) as error:
        folder.render(text, {"n": 1})
    return str(error.value).removeprefix("templates/x.j2:")


@pytest.mark.parametrize(("text", "expected"), [*SYNTAX, *COMPILED])
def test_an_error_of_the_syntax_names_the_line_to_fix(
    text: str, expected: str, folder: TemplateFolder
) -> None:
    assert message(folder, text) == expected


@pytest.mark.parametrize(("text", "expected"), RUNNING)
def test_an_error_of_python_is_reworded(text: str, expected: str, folder: TemplateFolder) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Python's own warnings about the generated code
        assert message(folder, f"A\n{text}") == f"2: {expected}"


def test_the_filter_of_a_block_may_use_variables(folder: TemplateFolder) -> None:
    text = (
        "RUN {% filter replace('a', n) %}ab{% endfilter %} {% set b | replace('c', n) %}cd{% endset %}{{ b }}"
    )
    assert folder.render(text, {"n": "1"}) == "RUN 1b 1d\n"


# Mutations of real templates.
_TOKEN = re.compile(r"\{[{%#]-?|-?[}%#]\}|\"[^\"]*\"|'[^']*'|\w+|\s+|.", re.DOTALL)
_INSERTED = (
    "{{", "}}", "{%", "%}", "{#", "#}", "none", "true", "self", "loop", "caller", "1", "0", "10**100", '""', "[]", "{}", "|",
    "|int", "|join", '|map("x")', "(", ")", "[", "]", ".", ",", ":", "=", "==", "if", "else", "elif", "endif", "for",
    "in", "endfor", "set", "macro", "endmacro", "call", "block", "extends", 'include "x"', "is divisibleby(0)", "not", "and",
    "**", "//", "/", "%", "~", "\x00", "\\", "`", "&&", "!", "$", "@", "set a, b = 1", "set loop = 1", "set parent = 1",
    "for none in [1]", "macro m(a, a)", "m(a=1, a=2)", "9" * 5000, "(" * 900, "-" * 900, "{% for a in [1] %}" * 30,
)  # fmt: skip
_BARE = re.compile(
    r"object|positional|NoneType|<locals>|Error|Traceback|\bdict\b|not supported between|l_\d_"
)


def mutated(text: str, chance: random.Random) -> str:
    tokens = _TOKEN.findall(text)
    for _ in range(chance.choice((1, 1, 2, 4))):
        starts = [at for at, token in enumerate(tokens) if token.startswith(("{{", "{%"))]
        at = min(chance.choice(starts) + chance.randrange(12), len(tokens) - 1) if starts else 0
        if chance.random() < 0.3:
            del tokens[at : at + 1]
        else:
            tokens.insert(at, f" {chance.choice(_INSERTED)} ")
    return "".join(tokens)


@pytest.mark.parametrize("name", ["java-base.Dockerfile.j2", "packages.j2"])
def test_a_broken_template_is_reported_at_a_line(name: str, tmp_path: Path) -> None:
    chance = random.Random(name)
    for path in (ROOT / "templates").iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    text = (tmp_path / name).read_text()
    variables = {"parent": "a", "n": 1, "packages": [], "package_manager": "apt", "timezone": "UTC"}
    reported = 0
    for _ in range(250):
        (tmp_path / name).write_text(mutated(text, chance))
        try:
            Templates(tmp_path, "templates").render(name, variables)
        except InputError as error:
            reported += 1
            for problem in error.problems:
                assert problem.place, problem
                assert problem.place.line, problem
                assert not _BARE.search(problem.message), problem
    assert reported > 100


def test_a_name_that_a_template_does_not_define(folder: TemplateFolder) -> None:
    with pytest.raises(InputError) as error:
        folder.render(
            "{% from 'm.j2' import instal %}\n{{ instal() }}", m="{% macro install() %}{% endmacro %}"
        )
    assert (
        str(error.value)
        == "templates/x.j2:2: template 'm.j2' does not define 'instal', which is imported from it"
    )
