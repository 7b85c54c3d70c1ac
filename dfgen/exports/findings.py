"""Format findings for GitHub, GitLab and SARIF, which show them at their lines.

The files of the findings must be relative to the root of the repository.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from dfgen import __version__
from dfgen.findings import Finding, Level

# GitHub shows this many annotations of each kind per step, and silently drops the rest:
# https://github.com/actions/toolkit/blob/main/docs/problem-matchers.md#limitations
SHOWN = 10

_GITHUB = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "notice"}
_GITLAB = {Level.ERROR: "major", Level.WARNING: "minor", Level.NOTE: "info"}
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})
_NUMBER_OF_FILES = re.compile(r" \(in \d+ files\)$")


def github(found: Sequence[Finding]) -> str:
    """Format as workflow commands, one per line; the last one of a kind counts those that GitHub drops.

    https://docs.github.com/en/actions/using-workflows/workflow-commands-for-github-actions
    """
    return "".join(
        line for level in Level for line in _commands([one for one in found if one.level is level])
    )


def _commands(found: Sequence[Finding]) -> Iterator[str]:
    shown = found if len(found) <= SHOWN else found[: SHOWN - 1]
    for one in shown:
        about = {"file": one.place.file, "line": one.place.line, "col": one.place.column}
        known = {key: str(value) for key, value in {**about, "title": one.rule}.items() if value}
        listed = ",".join(f"{key}={value.translate(_PROPERTY)}" for key, value in known.items())
        yield f"::{_GITHUB[one.level]} {listed}::{_message(one).translate(_DATA)}\n"
    if left := len(found) - len(shown):
        why = f"GitHub shows only {SHOWN} per step; see the log of this step"
        yield f"::{_GITHUB[found[0].level]} title=dfgen::{left} more of this kind: {why}\n"


def gitlab(found: Sequence[Finding]) -> str:
    """Format as a Code Quality report.

    https://docs.gitlab.com/ci/testing/code_quality/
    """
    return _document(
        [
            {
                "description": _message(one),
                "check_name": one.rule,
                "fingerprint": mark,
                "severity": _GITLAB[one.level],
                "location": {"path": one.place.file, "lines": {"begin": max(one.place.line, 1)}},
            }
            for one, mark in zip(found, _fingerprints(found), strict=True)
        ]
    )


def sarif(found: Sequence[Finding], category: str) -> str:
    """Format as a SARIF log; for each commit, GitHub keeps the last log of each `category`.

    https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
    """
    marked = zip(found, _fingerprints(found), strict=True)
    rules = [
        {"id": rule, "shortDescription": {"text": rule.replace("-", " ")}}
        for rule in sorted({one.rule for one in found})
    ]
    run = {
        "tool": {"driver": {"name": "dfgen", "version": __version__, "rules": rules}},
        "automationDetails": {"id": f"dfgen/{category}/"},
        "columnKind": "unicodeCodePoints",
        "results": [_result(one, mark) for one, mark in marked],
    }
    return _document({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _result(one: Finding, mark: str) -> dict[str, Any]:
    # GitHub rejects a location without a line.
    region = {"startLine": max(one.place.line, 1)}
    if one.place.line and one.place.column:
        region["startColumn"] = one.place.column
    place = {"artifactLocation": {"uri": quote(one.place.file)}, "region": region}
    return {
        "ruleId": one.rule,
        "level": str(one.level),
        "message": {"text": _message(one)},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"dfgen/v1": mark},
    }


def _message(one: Finding) -> str:
    return f"{one.message} (in {one.generated})" if one.generated else one.message


def _fingerprints(found: Sequence[Finding]) -> Iterator[str]:
    """Yield an identity for each finding that survives moved lines and a changed number of files.

    Equal findings in one file are numbered.
    """
    seen: Counter[tuple[str, str, str]] = Counter()
    for one in found:
        key = (one.rule, one.place.file, _NUMBER_OF_FILES.sub("", one.message))
        seen[key] += 1
        yield sha256(json.dumps([*key, seen[key]]).encode()).hexdigest()


def _document(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
