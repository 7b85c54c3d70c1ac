"""Workflows, pipelines, hooks and reports are valid for the systems that read them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from ruamel.yaml import YAML

from dfgen.commands.plan.inputs import Plan
from dfgen.errors import Place
from dfgen.exports import findings
from dfgen.exports.github import github
from dfgen.exports.gitlab import gitlab
from dfgen.findings import Finding, Level
from tests.unit.exports.plans import chain, step
from tests.unit.models import AMD64, ARM64, image

ROOT = Path(__file__).parents[3]
WORKFLOWS = ROOT / "docs/workflows"

FINDINGS = [
    Finding(rule="a", level=Level.ERROR, message="50% of ü: a,\nb", place=Place("templates/a b.j2", 3, 4)),
    Finding(rule="b", level=Level.WARNING, message="m", place=Place("f"), generated=Place("g", 2)),
    Finding(rule="b", level=Level.NOTE, message="m", place=Place("f", 7)),
]


@cache
def _validator(name: str) -> Callable[[Any], None]:
    """Return the validator of a SchemaStore schema that check-jsonschema contains."""
    text = (files("check_jsonschema") / f"builtin_schemas/vendor/{name}.json").read_text(encoding="utf-8")
    return jsonschema_rs.validator_for(json.loads(text)).validate


def _plan(versions: int) -> Plan:
    """Return a plan with a chain of three families, and many versions for both platforms."""
    many = [step(image(f"many:{at}", platform)) for at in range(versions) for platform in (AMD64, ARM64)]
    return Plan(steps=(*chain("a", "b", "c"), *many))


def _read(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["github", "gitlab", "gitlab-images"])
def test_the_example_workflows_are_valid(name: str) -> None:
    schema = "github-workflows" if name == "github" else "gitlab-ci"
    _validator(schema)(_read(WORKFLOWS / f"{name}.yml"))


@pytest.mark.parametrize("versions", [0, 1, 150])
def test_an_exported_plan_is_valid(versions: int) -> None:
    plan = _plan(versions)
    workflow = _read(WORKFLOWS / "github.yml")
    for wave in (1, 2, 3):
        matrix = json.loads(github(plan, wave=wave))
        workflow["jobs"]["wave1"]["strategy"]["matrix"] = matrix
        _validator("github-workflows")(workflow)
        assert 1 <= len(matrix["include"]) <= 256
    _validator("gitlab-ci")(YAML(typ="safe").load(gitlab(plan)))


def test_the_schemas_reject_invalid_files() -> None:
    workflow = _read(WORKFLOWS / "github.yml")
    workflow["jobs"]["check"]["needed"] = "plan"
    with pytest.raises(jsonschema_rs.ValidationError):
        _validator("github-workflows")(workflow)
    with pytest.raises(jsonschema_rs.ValidationError):
        _validator("gitlab-ci")({"a": {"script": ["x"], "needs": [{"job": 1}]}})


def test_zizmor_finds_nothing_in_the_workflow() -> None:
    zizmor = Path(sys.executable).with_name("zizmor")
    command = [zizmor, "--offline", "--no-progress", "--format", "json", WORKFLOWS / "github.yml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    found = [(one["ident"], one["locations"][0]["symbolic"]["annotation"]) for one in json.loads(done.stdout)]
    assert (found, done.returncode) == ([], 0)


@pytest.mark.parametrize("what", ["manifest", "config"])
def test_the_hooks_and_their_documented_configuration_are_valid(tmp_path: Path, what: str) -> None:
    file = ROOT / ".pre-commit-hooks.yaml"
    if what == "config":
        file = tmp_path / "config.yaml"
        file.write_text(
            (ROOT / "docs/how-to/ci.md").read_text().partition("```yaml\n")[2].partition("```")[0]
        )
        used = {hook["id"] for repository in _read(file)["repos"] for hook in repository["hooks"]}
        assert used == {hook["id"] for hook in _read(ROOT / ".pre-commit-hooks.yaml")}
    program = Path(sys.executable).with_name("pre-commit")
    command = [program, f"validate-{what}", file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    properties = {**required, **optional}
    return {
        "type": "object",
        "properties": properties,
        "required": [*required],
        "additionalProperties": False,
    }


_TEXT = {"type": "string", "minLength": 1}
_LINE = {"type": "integer", "minimum": 1}
_PATH = {"type": "string", "pattern": r"^[A-Za-z0-9_.~%/+-]+$"}
_PLACE = _object(
    {"artifactLocation": _object({"uri": _PATH}), "region": _object({"startLine": _LINE}, startColumn=_LINE)}
)
_RESULT = _object(
    {
        "ruleId": _TEXT,
        "level": {"enum": ["none", "note", "warning", "error"]},
        "message": _object({"text": _TEXT}),
        "locations": {"type": "array", "maxItems": 1, "items": _object({"physicalLocation": _PLACE})},
        "partialFingerprints": {"type": "object", "additionalProperties": _TEXT},
    }
)
_RULES = {
    "type": "array",
    "uniqueItems": True,
    "items": _object({"id": _TEXT, "shortDescription": _object({"text": _TEXT})}),
}
_RUN = _object(
    {
        "tool": _object({"driver": _object({"name": _TEXT, "version": _TEXT, "rules": _RULES})}),
        "results": {"type": "array", "items": _RESULT},
        "automationDetails": _object({"id": {"type": "string", "pattern": "^dfgen/.+/$"}}),
        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    }
)
# The part of SARIF 2.1.0 that dfgen writes, and what GitHub also requires: a line and a description. No maintained
# package contains the full schema; the logs of all three commands were validated against it by hand.
# https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
SARIF = _object(
    {"$schema": _TEXT, "version": {"const": "2.1.0"}, "runs": {"type": "array", "items": _RUN, "minItems": 1}}
)
# https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
CODE_QUALITY = {
    "type": "array",
    "items": _object(
        {
            "description": _TEXT,
            "check_name": _TEXT,
            "fingerprint": _TEXT,
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": _object({"path": _TEXT, "lines": _object({"begin": _LINE})}),
        }
    ),
}


@pytest.mark.parametrize("number", [0, 3])
def test_sarif_logs_are_valid(number: int) -> None:
    log = json.loads(findings.sarif(FINDINGS[:number], "lint"))
    jsonschema_rs.validator_for(SARIF).validate(log)
    (run,) = log["runs"]
    declared = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert {one["ruleId"] for one in run["results"]} == declared


@pytest.mark.parametrize("number", [0, 3])
def test_code_quality_reports_are_valid(number: int) -> None:
    report = json.loads(findings.gitlab(FINDINGS[:number]))
    jsonschema_rs.validator_for(CODE_QUALITY).validate(report)
    assert len({one["fingerprint"] for one in report}) == len(report) == number
