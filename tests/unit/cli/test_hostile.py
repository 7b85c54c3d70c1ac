"""Hostile values in base.yaml either render the same instructions as harmless values, or are rejected."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dfgen.catalog.lockfile import LOCK_FILE
from tests.unit.catalogs import loaded, locked, write
from tests.unit.cli.run import Done, dfgen
from tests.unit.dockerfile.oracle import Oracle, running_oracle

VARIABLES = ("plain", "quoted", "word", "inner", "comment")
TEMPLATE = """\
# {{ description }}
FROM {{ parent }} AS main
LABEL{% for name, value in labels | dictsort %} {{ name }}="{{ value }}"{% endfor %}

ENV PLAIN={{ plain }} QUOTED="{{ quoted }}"
RUN apk add \\
{% for package in packages %}
    {{ package.name }}{% if package.version %}={{ package.version }}{% endif %} \\
{% endfor %}
    && echo {{ word }}
RUN <<EOF
echo {{ inner }}
EOF
# {{ comment }}, {{ family }} {{ version }}
"""
HARMLESS: dict[str, Any] = {
    "description": "harmless",
    "template": "t.j2",
    "parent": "docker.io/library/busybox:1.36",
    "parents": {"tool": "docker.io/library/alpine:3"},
    "platforms": ["amd64"],
    "variables": dict.fromkeys(VARIABLES, "harmless"),
    "labels": {"name": "harmless"},
    "packages": [{"name": "harmless", "version": "1"}],
    "tests": [{"run": "harmless", "expect": "harmless", "name": "harmless"}],
    "versions": ["1.0"],
}
HOSTILE = (
    "a\nRUN evil",
    "a\r\nRUN evil",
    "a\rRUN evil",
    "\n",
    "a\n\nEOF\nRUN evil",
    '"',
    "'",
    "`",
    'a" RUN evil="',
    "a' && evil '",
    "$HOME",
    "${X:-y}",
    "$(evil)",
    "\\",
    "a\\",
    "a\\\nRUN evil",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "{#",
    "<<EVIL",
    "EOF",
    "# syntax=evil",
    "--from=evil",
    "&& evil; evil | evil > /evil",
    '["evil"]',
    "",
    " ",
    "a b",
    "\t",
    "\x00",
    "\x1b[31m",
    "\x85",
    "\u2028RUN evil",
    "\ufdd0",
    "é",
    "x" * 70_000,
)


def _at(place: str, value: str) -> dict[str, Any]:
    """Return the harmless family with a value at one place."""
    base = json.loads(json.dumps(HARMLESS))
    match place.split(" "):
        case ["variable", name]:
            base["variables"][name] = value
        case ["label", "name"]:
            base["labels"] = {value: "harmless"}
        case ["label", "value"]:
            base["labels"]["name"] = value
        case ["package", key]:
            base["packages"][0][key] = value
        case ["stage", "image"]:
            base["parents"]["tool"] = value
        case ["version", _]:
            base["versions"] = [value]
        case ["version's", key]:
            base["versions"] = {"1.0": {key: value}}
        case [key, "text"]:
            base[key] = value
    return base


PLACES = (
    *(f"variable {name}" for name in VARIABLES),
    "label name",
    "label value",
    "package name",
    "package version",
    "description text",
    "parent text",
    "stage image",
    "template text",
    "version name",
    "version's parent",
    "version's template",
)


# Places that accept only names, and the hostile values that are valid there.
NAMES: dict[str, list[str]] = {
    "parent text": [],
    "stage image": [],
    "template text": [],
    "version name": ["EOF"],
    "version's parent": [],
    "version's template": [],
}


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    with running_oracle() as running:
        yield running


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    catalog = loaded(folder, json.dumps(HARMLESS), **{"templates/t.j2": TEMPLATE})
    return write(folder, {LOCK_FILE: locked(catalog).to_text()})


def _rendered(root: Path, base: dict[str, Any]) -> Done:
    write(root, {"bases/app/base.yaml": json.dumps(base), "templates/t.j2": TEMPLATE})
    for path in root.glob("bases/app/*/Dockerfile_*"):
        path.unlink()
    return dfgen("-C", root, "render")


def _shape(oracle: Oracle, root: Path) -> list[tuple[object, ...]]:
    """Return what BuildKit parses: the flags, form, number of words and heredocs of each instruction."""
    (path,) = root.glob("bases/app/*/Dockerfile_*")
    text = path.read_bytes().decode()
    assert re.match(r"(#[^\n]*\n){6}FROM --platform=linux/amd64 docker.io/library/busybox:1.36@sha256:", text)
    found = oracle.parse(text)
    assert isinstance(found, list), found
    assert found[0].words[1:] == ("AS", "main")
    return [
        (
            one.keyword,
            one.trigger,
            one.is_json,
            one.flags,
            len(one.words),
            [name for name, _, _ in one.heredocs],
        )
        for one in found
    ]


@pytest.mark.parametrize("place", PLACES)
def test_no_value_escapes_its_place(place: str, root: Path, oracle: Oracle) -> None:
    assert _rendered(root, HARMLESS).status == 0
    harmless = _shape(oracle, root)
    accepted = []
    for value in HOSTILE:
        done = _rendered(root, _at(place, value))
        context = f"{place} {value[:40]!r}: {done.err}"
        if done.status == 0:
            assert _shape(oracle, root) == harmless, context
            accepted.append(value)
            continue
        assert done.status == 2, context
        assert done.lines, context
        for line in done.lines:
            assert re.match(
                r"(bases/app/(base\.yaml|1\.0/Dockerfile_amd64)|templates/t\.j2):\d+(:\d+)?: .", line
            ), context
            assert line.isprintable(), context
    if place in NAMES:
        assert accepted == NAMES[place]


@pytest.mark.parametrize("name", ["a\nRUN evil", "a b", "A", "$x", "a\x1b[31m"])
def test_a_hostile_family_name_is_rejected_in_one_line(tmp_path: Path, name: str) -> None:
    write(tmp_path, {f"bases/{name}/base.yaml": json.dumps(HARMLESS)})
    done = dfgen("-C", tmp_path, "list")
    assert done.status == 2
    (line,) = done.lines
    assert line.isprintable()


@pytest.mark.parametrize("value", ["\x1b[31mred", "a\nb", "a|b", '"x"', "[bold]x"])
def test_values_of_the_catalog_cannot_break_a_row(root: Path, value: str) -> None:
    _rendered(root, HARMLESS)
    base = _at("description text", value) | {"end_of_life": "2030-01-31"}
    write(root, {"bases/app/base.yaml": json.dumps(base)})
    for output in ("json", "table", "markdown"):
        done = dfgen("-C", root, "--format", output, "list")
        assert done.status == 0
        assert "\x1b" not in done.out
