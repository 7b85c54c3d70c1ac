"""Annotations for GitHub, GitLab and SARIF, and the pre-commit hooks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from dfgen import __version__
from dfgen.catalog.lockfile import LOCK_FILE
from dfgen.cli import annotate
from dfgen.cli.app import App
from dfgen.cli.group import dfgen as group
from dfgen.errors import Place
from dfgen.findings import Finding, Level
from tests.unit.catalogs import FAMILY, loaded, locked, write
from tests.unit.cli.run import dfgen

ROOT = Path(__file__).parents[3]
ARM64 = "bases/app/1.0/Dockerfile_arm64"
ONE = Finding(rule="r", level=Level.ERROR, message="50%: a,\nb", place=Place("t/a:b,c d.j2", 3, 4))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _written(kind: str, *found: Finding, command: str = "lint") -> Any:
    with click.Context(group, info_name=command):
        annotate.write(App(root=Path("sub"), output="table"), found, kind, Path("out"))
    text = Path("out").read_text()
    return text if kind == "github" else json.loads(text)


def test_github_special_characters_are_escaped(here: Path) -> None:
    note = Finding(rule="n", level=Level.NOTE, message="m", place=Place("f"), generated=Place("g", 2))
    assert _written("github", note, ONE) == (
        "::error file=sub/t/a%3Ab%2Cc d.j2,line=3,col=4,title=r::50%25: a,%0Ab\n"
        "::notice file=sub/f,title=n::m (in g:2)\n"
    )


@pytest.mark.parametrize(("number", "own", "more"), [(10, 10, []), (11, 9, ["2"]), (40, 9, ["31"])])
def test_github_annotations_count_those_that_would_be_dropped(
    here: Path, number: int, own: int, more: list[str]
) -> None:
    warning = replace(ONE, level=Level.WARNING)
    lines = _written("github", *[warning] * number, ONE).splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["::error", *["::warning"] * (own + len(more))]
    why = "more of this kind: GitHub shows only 10 per step; see the log of this step"
    assert lines[1 + own :] == [f"::warning title=dfgen::{left} {why}" for left in more]


def test_gitlab_entries_have_the_required_keys_and_fingerprints_without_lines(here: Path) -> None:
    first, again = _written("gitlab", ONE, ONE)
    (moved,) = _written("gitlab", replace(ONE, place=replace(ONE.place, line=9)))
    assert first.keys() == {"description", "check_name", "fingerprint", "severity", "location"}
    assert (first["severity"], first["location"]) == (
        "major",
        {"path": "sub/t/a:b,c d.j2", "lines": {"begin": 3}},
    )
    assert first["fingerprint"] == moved["fingerprint"] != again["fingerprint"]


def test_a_fingerprint_does_not_depend_on_the_number_of_files(here: Path) -> None:
    one, other = (replace(ONE, message=f"m (in {number} files)") for number in (2, 3))
    assert _written("gitlab", one)[0]["fingerprint"] == _written("gitlab", other)[0]["fingerprint"]


def test_sarif_has_the_required_properties(here: Path) -> None:
    rule = replace(ONE, rule="a-rule")
    log = _written("sarif", rule, replace(rule, level=Level.WARNING, place=Place("f")))
    (run,) = log["runs"]
    rules = [{"id": "a-rule", "shortDescription": {"text": "a rule"}}]
    driver = {"name": "dfgen", "version": __version__, "rules": rules}
    assert (log["version"], run["tool"], run["columnKind"]) == (
        "2.1.0",
        {"driver": driver},
        "unicodeCodePoints",
    )
    one, other = run["results"]
    assert (one["ruleId"], one["level"], one["message"]) == ("a-rule", "error", {"text": ONE.message})
    place = one["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "sub/t/a%3Ab%2Cc%20d.j2"}
    assert place["region"] == {"startLine": 3, "startColumn": 4}
    assert other["locations"][0]["physicalLocation"]["region"] == {"startLine": 1}
    assert one["partialFingerprints"].keys() == {"dfgen/v1"}


def test_the_sarif_logs_of_two_commands_do_not_replace_each_other(here: Path) -> None:
    found = [_written("sarif", command=command)["runs"][0] for command in ("lint", "review")]
    assert [run["automationDetails"]["id"] for run in found] == ["dfgen/lint/", "dfgen/review/"]


@pytest.mark.parametrize(("root", "named"), [("repo", "f"), ("repo/a/b", "a/b/f"), ("other", "other/f")])
def test_paths_are_relative_to_the_root_of_the_repository(here: Path, root: str, named: str) -> None:
    (here / "repo/a/b").mkdir(parents=True)
    (here / "repo/.git").write_text("gitdir: elsewhere\n")  # as a worktree has it
    one = Finding(rule="r", level=Level.ERROR, message="m", place=Place("f"))
    annotate.write(App(root=Path(root), output="table"), [one], "gitlab", Path("out"))
    assert json.loads(Path("out").read_text())[0]["location"]["path"] == named


def test_render_check_annotates_the_first_line_that_differs(here: Path) -> None:
    write(here, {LOCK_FILE: locked(loaded(here, FAMILY)).to_text()})
    dfgen("render")
    path = here / ARM64
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, "RUN x"]) + "\n")
    done = dfgen("render", "--check", "--annotations", "github")
    assert done.status == 1
    assert done.lines[0].startswith(f"::error file={ARM64},line={len(lines) + 1},title=not-rendered::")


_TEMPLATE = ("templates/t.j2", "FROM {{ parent }}\nRUN {{ nope }}\n")
_BASE = ("bases/app/base.yaml", "template: [\n")


@pytest.mark.parametrize(
    ("words", "bad", "expected"),
    [
        (("render", "--check"), _TEMPLATE, "templates/t.j2,line=2,title=bad-input"),
        (("lint",), _TEMPLATE, "templates/t.j2,line=2,title=does-not-render"),
        (("render", "--check"), _BASE, "bases/app/base.yaml,line=2,col=1,title=bad-input"),
        (("lint",), _BASE, "bases/app/base.yaml,line=2,col=1,title=bad-input"),
        (("review", ".", "."), _BASE, "bases/app/base.yaml,line=2,col=1,title=broken"),
    ],
)
def test_invalid_input_is_annotated(
    here: Path, words: tuple[str, ...], bad: tuple[str, str], expected: str
) -> None:
    write(here, {LOCK_FILE: locked(loaded(here, FAMILY)).to_text(), **dict([bad])})
    done = dfgen(*words, "--annotations", "github")
    assert [line for line in done.lines if line.startswith(f"::error file={expected}::")], done.err
    assert done.status


def test_an_invalid_dockerfile_is_annotated_at_its_template(here: Path) -> None:
    catalog = loaded(here, FAMILY)
    template = "FROM {{ parent }}\n{# a comment #}\nLABEL a\n"
    write(here, {LOCK_FILE: locked(catalog).to_text(), "templates/t.j2": template})
    done = dfgen("render", "--check", "--annotations", "github")
    why = "LABEL has a name but no value; expected name=value"
    assert done.lines[:2] == [
        f"::error file=templates/t.j2,line=3,title=bad-input::{why} (in bases/app/1.0/Dockerfile_{arch}:7)"
        for arch in ("amd64", "arm64")
    ]


def test_a_problem_without_a_place_is_annotated_at_the_catalog(here: Path) -> None:
    loaded(here, FAMILY)
    done = dfgen("lint", "nope", "--annotations", "github")
    assert done.lines[0].startswith("::error file=bases/catalog.yaml,title=bad-input::"), done.err
    assert (done.status, len(done.lines)) == (2, 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("lint", "--annotations", "sarif"),
            "--annotations sarif needs --annotations-file FILE",
        ),
        (
            ("review", "--annotations-file", "x"),
            "--annotations-file needs --annotations github, gitlab or sarif",
        ),
        (("render", "--annotations", "github"), "--annotations needs --check or --diff"),
    ],
)
def test_options_that_do_not_fit_together_are_rejected(
    here: Path, words: tuple[str, ...], message: str
) -> None:
    done = dfgen(*words)
    assert done.status == 2
    assert message in done.err


def test_a_report_is_written_with_and_without_findings(here: Path) -> None:
    golden = ROOT / "tests/unit/review/golden/hand-edit"
    done = dfgen(
        "review", "--annotations", "gitlab", "--annotations-file", "o", golden / "before", golden / "after"
    )
    (risk,) = json.loads((here / "o").read_text())
    assert (done.status, risk["check_name"]) == (1, "hand-edited")
    dfgen("-C", golden / "before", "lint", "--annotations", "sarif", "--annotations-file", "s")
    assert json.loads((here / "s").read_text())["version"] == "2.1.0"


def test_every_hook_runs_an_existing_command() -> None:
    hooks = YAML(typ="safe").load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert [hook["id"] for hook in hooks] == ["dfgen-render", "dfgen-lint"]
    for hook in hooks:
        program, name, *rest = hook["entry"].split()
        command = group.get_command(click.Context(group), name)
        assert program == "dfgen"
        assert command
        command.make_context(name, rest)
        assert {"name", "language", "files"} <= hook.keys()
        assert hook["pass_filenames"] is False
