"""`dfgen explain`: the conditions around a line, and the variables in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dfgen.catalog.lockfile import LOCK_FILE
from tests.unit.catalogs import FAMILY, loaded, locked, write
from tests.unit.cli.run import dfgen

ARM64 = "bases/app/1.0/Dockerfile_arm64"
BASE = FAMILY + "variables:\n  kind: jre\n  users: [ann, bob]\n  who: world\n"
FILES = {
    "templates/t.j2": """\
{% import 'm.j2' as m %}
FROM {{ parent }}
{% if kind == 'jre' %}
RUN a {{ who }}
{% endif %}
{% for user in users %}
RUN b
{% endfor %}
{{ m.greet(kind) }}
""",
    "templates/m.j2": "{% macro greet(what) %}\n{% if what %}\nRUN c\n{% endif %}\n{% endmacro %}\n",
}
KIND = "kind = jre  (family, bases/app/base.yaml:5:9; decides)"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    catalog = loaded(tmp_path, BASE, **FILES)
    write(tmp_path, {**FILES, LOCK_FILE: locked(catalog).to_text()})
    assert dfgen("-C", tmp_path, "render").status == 0
    return tmp_path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            7,
            [
                "RUN a world",
                "templates/t.j2:4",
                "who = world  (family, bases/app/base.yaml:7:8)",
                KIND,
                "if kind == 'jre'  (templates/t.j2:3)",
            ],
        ),
        (
            8,
            [
                "RUN b",
                "templates/t.j2:7",
                'users = ["ann", "bob"]  (family, bases/app/base.yaml:6:10; decides)',
                "for user in users  (templates/t.j2:6)",
            ],
        ),
        (
            10,
            [
                "RUN c",
                "templates/m.j2:3 ← templates/t.j2:9",
                KIND,
                "if what  (templates/m.j2:2)",
                "m.greet(…)  (templates/t.j2:9)",
            ],
        ),
    ],
)
def test_a_line_has_its_conditions(root: Path, line: int, expected: list[str]) -> None:
    shown = dfgen("-C", root, "explain", f"{ARM64}:{line}").out.splitlines()
    assert [one.strip() for one in shown[1:]] == expected


def test_all_lines_have_the_variables_but_not_the_conditions(root: Path) -> None:
    shown = [one.strip() for one in dfgen("-C", root, "explain", ARM64).out.splitlines()]
    at = shown.index("10  RUN c")
    assert shown[at + 1 : at + 3] == ["templates/m.j2:3 ← templates/t.j2:9", KIND]
    assert not [one for one in shown if one.startswith(("if ", "for "))]
    assert "`kind = jre`: family, bases/app/base.yaml:5:9; decides |" in (
        dfgen("-C", root, "--format", "markdown", "explain", f"{ARM64}:10").out
    )


def test_json_has_the_conditions_and_their_variables(root: Path) -> None:
    [found] = json.loads(dfgen("-C", root, "--format", "json", "explain", f"{ARM64}:7").out)
    assert found["conditions"] == [
        {"text": "if kind == 'jre'", "template": {"file": "templates/t.j2", "line": 3}}
    ]
    assert found["deciding"] == [
        {
            "name": "kind",
            "value": "jre",
            "set_by": "family",
            "at": {"file": "bases/app/base.yaml", "line": 5, "column": 9},
        }
    ]
    assert [one["name"] for one in found["variables"]] == ["who"]
