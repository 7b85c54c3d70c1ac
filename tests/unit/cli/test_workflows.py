"""The workflows to copy: they are YAML, and every dfgen command in them is one that there is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from dfgen.cli.group import dfgen as group

FOLDER = Path(__file__).parents[3] / "docs/workflows"
_SCRIPTS = ("run", "script")


def _read(name: str) -> Any:
    return YAML(typ="safe").load((FOLDER / name).read_text())


def _scripts(value: Any, inside: bool = False) -> Iterator[str]:
    if isinstance(value, str) and inside:
        yield from (line.strip() for line in value.splitlines())
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _scripts(item, name in _SCRIPTS)
    elif isinstance(value, list):
        for item in value:
            yield from _scripts(item, inside)


@pytest.mark.parametrize(("name", "number"), [("github.yml", 7), ("gitlab.yml", 4)])
def test_every_command_is_accepted(name: str, number: int) -> None:
    lines = [line for line in _scripts(_read(name)) if line.startswith("dfgen ")]
    assert len(lines) == number
    for line in lines:
        _, command, *rest = shlex.split(re.split(r" (?:>|\|\|) ", line)[0])
        found = group.get_command(click.Context(group), command)
        assert found, line
        found.make_context(command, rest)


def test_github_actions_are_pinned_and_who_reads_a_pull_request_cannot_write() -> None:
    text, jobs = (FOLDER / "github.yml").read_text(), _read("github.yml")
    assert all(re.fullmatch(r"\S+@v\d+\.\d+\.\d+", use) for use in re.findall(r"uses: (\S+)", text))
    assert "secrets." not in text
    assert "pull_request_target" not in text
    assert jobs["permissions"] == {}
    assert jobs["jobs"]["check"]["permissions"] == {"contents": "read"}
    assert not [step for step in jobs["jobs"]["comment"]["steps"] if "checkout" in step.get("uses", "")]
