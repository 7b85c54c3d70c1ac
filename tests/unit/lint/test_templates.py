"""The rules for templates and variables: unused and undefined names."""

from __future__ import annotations

import pytest

from tests.unit.catalogs import FAMILY
from tests.unit.lint.catalogs import Linting, T

FROM = "FROM {{ parent }}\n"


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("{% if false %}{{ oops }}{% endif %}", ["1: warning: variable oops is not defined in any version [undefined-variable]"]),
        ("{% if false %}\n{{ versoin }}{% endif %}", ["2: warning: variable versoin is not defined in any version (did you mean 'version'?) [undefined-variable]"]),
        ("{% if oops is defined %}{{ oops }}{% endif %}{{ more | default('') }}", []),
        ("{% if false %}{{ parents.a }}{{ image.tag }}{{ range(3) }}{{ packages }}{% endif %}", []),
        ("{% macro m() %}{{ caller() }}{{ varargs }}{{ kwargs }}{% endmacro %}{% if false %}{% call m() %}{% endcall %}{% endif %}", []),
        ("{% block b %}{% for a in [] %}{{ loop.index }}{{ self }}{% endfor %}{% endblock %}", []),
        ("{% set a = 1 %}{% for b in [a] if false %}{{ b }}{% endfor %}", []),
        ("{% macro m(x) %}{{ x }}{% endmacro %}", ["1: warning: macro m is never called; remove it [unused-macro]"]),
        ("{% macro m(x) %}{{ m(x) }}{% endmacro %}", ["1: warning: macro m is never called; remove it [unused-macro]"]),
        ("{% macro m() %}{% endmacro %}{{ m() }}", []),
    ],
)  # fmt: skip
def test_names_in_one_template(linting: Linting, template: str, found: list[str]) -> None:
    linting.catalog(template + "\n" + FROM)
    assert linting.found() == [f"{T}:{one}" for one in found]


def test_an_imported_macro_that_is_not_called(linting: Linting) -> None:
    linting.catalog('{% from "m.j2" import a, b %}\n' + FROM + "{{ a() }}", **{
        "templates/m.j2": "{% macro a() %}{{ c() }}{% endmacro %}\n{% macro b() %}{% endmacro %}\n{% macro c() %}{% endmacro %}\n"
    })  # fmt: skip
    assert linting.found() == ["templates/m.j2:2: warning: macro b is never called; remove it [unused-macro]"]


@pytest.mark.parametrize("call", ["{{ m.b() }}", "{{ m['b']() }}", "{{ m[version] is defined }}"])
def test_a_macro_of_an_imported_module(linting: Linting, call: str) -> None:
    template = '{% import "m.j2" as m %}\n' + FROM + "RUN {% set x %}" + call + "{% endset %}x\n"
    linting.catalog(template, **{"templates/m.j2": "{% macro b() %}{% endmacro %}\n"})
    assert linting.found() == []


def test_a_macro_imported_under_another_name(linting: Linting) -> None:
    template = '{% from "m.j2" import b as c %}\n' + FROM + "{{ c() }}"
    linting.catalog(template, **{"templates/m.j2": "{% macro b() %}{% endmacro %}\n"})
    assert linting.found() == []


def test_a_block_that_is_never_rendered(linting: Linting) -> None:
    child = (
        '{% extends "p.j2" %}\n{% block run %}RUN a\n{% endblock %}\n{% block rum %}RUN b\n{% endblock %}\n'
    )
    linting.catalog(child, **{"templates/p.j2": FROM + "{% block run %}{% endblock %}"})
    assert linting.found() == [
        f"{T}:4: warning: block rum does not exist in any extended template (did you mean 'run'?);"
        " rename or remove it [unused-block]"
    ]


def test_a_template_that_no_family_uses(linting: Linting) -> None:
    more = {"templates/old.j2": FROM, "templates/README.md": "{{ not a template", "templates/i.j2": ""}
    linting.catalog('{% include "i.j2" %}\n' + FROM, **more)
    assert linting.found() == [
        "templates/old.j2: warning: no family uses this template; remove it [unused-template]"
    ]
    assert linting.found("app@arm64") == []


@pytest.mark.parametrize(
    ("name", "context", "instruction"),
    [
        ("entrypoint.sh.j2", "", ""),
        ("conf/nginx.conf.jinja2", "", ""),
        ("app.j2", "context: ../..", "COPY templates/app.j2 /etc/"),
        ("conf/app.j2", "context: ../..", "COPY templates/conf /etc/"),
        ("conf/app.j2", "context: ../..", "COPY templates/*/app.* /etc/"),
        ("app.j2", "context: ../..", "COPY . /etc/"),
        ("app.j2", "context: ../../templates", "ADD app.j2 /etc/"),
        (
            "conf/app.j2",
            "context: ../../templates/conf",
            "RUN --mount=source=app.j2,target=/a.j2 render /a.j2",
        ),
    ],
)
def test_a_template_for_another_program(linting: Linting, name: str, context: str, instruction: str) -> None:
    base = f"{FAMILY}{context}\n"
    linting.catalog(f"{FROM}{instruction}\n", base, **{f"templates/{name}": "{{ x }}"})
    assert linting.found() == []


@pytest.mark.parametrize(
    ("name", "context", "instruction"),
    [
        ("app.Dockerfile.j2", "", ""),
        ("app.j2", "context: ../..", "COPY templates/other.j2 /etc/"),
        ("app.j2", "context: ../..", "COPY templates/app.j /etc/"),
        ("app.j2", "", "COPY templates/app.j2 /etc/"),  # not in the context
    ],
)
def test_a_template_that_no_program_uses(linting: Linting, name: str, context: str, instruction: str) -> None:
    linting.catalog(f"{FROM}{instruction}\n", f"{FAMILY}{context}\n", **{f"templates/{name}": FROM})
    found = [line for line in linting.found() if "[context]" not in line]
    assert found == [f"templates/{name}: warning: no family uses this template; remove it [unused-template]"]


def test_a_computed_include_may_use_any_template(linting: Linting) -> None:
    linting.catalog('{% include family ~ ".j2" %}\n' + FROM, **{"templates/app.j2": "", "templates/b.j2": ""})
    assert linting.found() == []


def test_an_unused_variable_of_a_family(linting: Linting) -> None:
    base = "variables: {a: 1, b: 2, c: 3, d: 4}\noverrides:\n  - {when: {c: 3}, variables: {e: 5}}\n"
    base += "  - {when: d == 4, variables: {a: 6}}\ntests: [{run: x, expect: '{{ b }}'}]\n"
    linting.catalog(FROM + "RUN x {{ e }}\n", FAMILY + base)
    text = "is not used by any template or text of the family; remove it [unused-variable]"
    assert linting.found() == [f"bases/app/base.yaml:4:13: warning: variable a {text}"]


def test_a_setting_among_the_variables(linting: Linting) -> None:
    linting.catalog(FROM, FAMILY + "variables:\n  packages: [curl]\n")
    assert linting.found() == [
        "bases/app/base.yaml:5:3: warning: variable packages is not used by any template or text of the family;"
        " move the setting packages out of variables [unused-variable]"
    ]


def test_an_unused_variable_of_all_families(linting: Linting) -> None:
    linting.catalog(FROM + "USER {{ a }}\n", **{"bases/catalog.yaml": "variables:\n  a: 1\n  b: 2\n"})
    text = "is not used by any template or text of the family; remove it [unused-variable]"
    assert linting.found() == [f"bases/catalog.yaml:3:3: warning: variable b {text}"]
    assert linting.found("app@amd64") == []


PLATFORM = "platforms: {amd64: , arm64: {variables: {ram: 50}, labels: {a: b}}}\n"
PRINTED = FROM + "ENV R={{ ram }} J={{ labels }}\n"


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ("variables: {ram: 75}\nversions: ['1']\n", ""),
        ("variables: {ram: 75}\nversions:\n  '1': {variables: {ram: 80}}\n", "5:26: variables.ram 80"),
        ("variables: {ram: 75}\nversions:\n  '1': {variables: {ram: 50}}\n", ""),
        ("variables: {ram: 75}\nversions:\n  '1': {variables: {ram: 80}, platforms: {amd64: , aarch64: {variables: {ram: 60}}}}\n", ""),
        ("variables: {ram: 75}\nversions: ['1']\noverrides:\n  - {when: arch == 'arm64', variables: {ram: 80}}\n", ""),
        ("variables: {ram: 75}\nversions:\n  '1': {labels: {a: c}}\n", "5:21: labels.a 'c'"),
        ("variables: {ram: 75}\nmatrix: {version: 'v{{ ram }}', axes: {ram: [70, 80]}}\n", "4:45: variables.ram 70"),
    ],
)  # fmt: skip
def test_a_platform_value_that_a_version_replaces(linting: Linting, settings: str, place: str) -> None:
    base = f"template: t.j2\nparent: docker.io/library/busybox:1.36\n{settings}{PLATFORM}"
    linting.catalog(PRINTED, base)
    found = [line for line in linting.found() if "[overridden-platform]" in line]
    assert bool(found) == bool(place)
    if place:
        at, _, what = place.partition(": ")
        line = base[: base.index("platforms: {amd64: , arm64")].count("\n") + 1
        assert found[0].startswith(f"bases/app/base.yaml:{at}: warning: {what} of the version replaces ")
        assert f", which bases/app/base.yaml:{line}:" in found[0]
        assert found[0].endswith(
            " sets for linux/arm64; set it under platforms of the version, or remove one of them"
            " [overridden-platform]"
        )
