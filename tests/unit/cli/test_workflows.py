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

from dfgen.cli.app import App
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


@pytest.mark.parametrize(
    ("name", "number"), [("github.yml", 16), ("gitlab.yml", 7), ("gitlab-images.yml", 2)]
)
def test_every_command_is_accepted(
    name: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "layouts/*").mkdir(parents=True)  # what a shell would have replaced
    monkeypatch.chdir(tmp_path)
    lines = [line for line in _scripts(_read(name)) if line.startswith("dfgen ")]
    assert len(lines) == number
    for line in lines:
        _, command, *rest = shlex.split(re.split(r" (?:>|\|\|) ", line)[0])
        found = group.get_command(click.Context(group), command)
        assert found, line
        found.make_context(command, rest, obj=App(root=tmp_path, output="table"))


def test_github_actions_are_pinned_and_who_reads_a_pull_request_cannot_write() -> None:
    text, jobs = (FOLDER / "github.yml").read_text(), _read("github.yml")
    uses = re.findall(r"uses: (.+)", text)
    assert [use for use in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", use)] == []
    assert "pull_request_target" not in jobs["on"]
    assert jobs["permissions"] == {}
    assert [name for name, job in jobs["jobs"].items() if "secrets." in str(job)] == ["publish"]
    writers = {name for name, job in jobs["jobs"].items() if "write" in str(job["permissions"])}
    assert writers == {"comment", "upgrade"}
    assert jobs["jobs"]["check"]["permissions"] == {"contents": "read"}
    assert not [step for step in jobs["jobs"]["comment"]["steps"] if "checkout" in step.get("uses", "")]


def test_gitlab_gives_each_token_to_one_job_and_none_to_the_check() -> None:
    jobs = _read("gitlab.yml") | _read("gitlab-images.yml")
    for token, job in (("DFGEN_COMMENT", "comment"), ("DFGEN_PUSH", "upgrade"), ("REGISTRY", "publish")):
        assert [name for name, value in jobs.items() if f"{token}_TOKEN" in str(value)] == [job]
        assert jobs[job]["environment"]["action"] == "access"
    assert "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID" in jobs["comment"]["rules"][0]["if"]
    assert jobs["comment"]["variables"] == {"GIT_STRATEGY": "none"}


def test_gitlab_images_publish_after_the_job_that_the_plan_writes() -> None:
    jobs = _read("gitlab.yml")
    assert {"local": ".gitlab/dfgen-images.yml"} in jobs["images"]["trigger"]["include"]
    assert _read("gitlab-images.yml")["publish"]["needs"] == ["merge"]
