"""Findings in the formats by which GitHub, GitLab and SARIF readers put them at their lines."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import click

from dfgen.cli.app import App
from dfgen.outside import files
from dfgen.values.finding import Finding, Level

_GITHUB = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "notice"}
_GITLAB = {Level.ERROR: "major", Level.WARNING: "minor", Level.NOTE: "info"}
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})

_Command = TypeVar("_Command", bound=Callable[..., Any])


def options(command: _Command) -> _Command:
    """Add `--annotations` and `--annotations-file` to a command."""
    kind = click.Choice(["github", "gitlab", "sarif"])
    path = click.Path(dir_okay=False, path_type=Path)
    command = click.option(
        "--annotations-file", "target", type=path, metavar="FILE", help="Where to write annotations."
    )(command)
    return click.option("--annotations", type=kind, help="Write findings for this reader too.")(command)


def check(annotations: str | None, target: Path | None) -> None:
    """Refuse options that do not fit each other, before any work is done."""
    if annotations in ("gitlab", "sarif") and not target:
        raise click.UsageError(f"--annotations {annotations} is a document; give --annotations-file FILE too")
    if target and not annotations:
        raise click.UsageError("--annotations-file needs --annotations github, gitlab or sarif")


def write(app: App, found: Sequence[Finding], annotations: str | None, target: Path | None) -> None:
    """Write findings as asked; GitHub reads its own from the output where no file is named."""
    if annotations is None:
        return
    text = _WRITERS[annotations](found, lambda file: _from_here(app, file))
    if target:
        files.write(target, text, durable=False)
    else:
        click.echo(text, err=True, nl=False)


def _from_here(app: App, file: str) -> str:
    """Name a file of the catalog from where the command runs: the repository, in CI."""
    return Path(os.path.relpath(app.root / file)).as_posix()


Name = Callable[[str], str]


def _message(one: Finding) -> str:
    return f"{one.message} (in {one.generated})" if one.generated else one.message


def _github(found: Iterable[Finding], name: Name) -> str:
    lines = []
    for one in found:
        about = {"file": name(one.place.file), "line": one.place.line, "col": one.place.column}
        known = {key: str(value) for key, value in {**about, "title": one.rule}.items() if value}
        listed = ",".join(f"{key}={value.translate(_PROPERTY)}" for key, value in known.items())
        lines.append(f"::{_GITHUB[one.level]} {listed}::{_message(one).translate(_DATA)}\n")
    return "".join(lines)


def _fingerprints(found: Iterable[Finding]) -> Iterator[str]:
    """Tell findings apart by what they say, not by their lines, which move; the same again is counted."""
    seen: Counter[tuple[str, str, str]] = Counter()
    for one in found:
        key = (one.rule, one.place.file, one.message)
        seen[key] += 1
        yield sha256(json.dumps([*key, seen[key]]).encode()).hexdigest()


def _gitlab(found: Sequence[Finding], name: Name) -> str:
    return _document(
        [
            {
                "description": _message(one),
                "check_name": one.rule,
                "fingerprint": mark,
                "severity": _GITLAB[one.level],
                "location": {"path": name(one.place.file), "lines": {"begin": max(one.place.line, 1)}},
            }
            for one, mark in zip(found, _fingerprints(found), strict=True)
        ]
    )


def _region(one: Finding) -> dict[str, Any]:
    numbers = {"startLine": one.place.line, "startColumn": one.place.column if one.place.line else 0}
    region = {name: number for name, number in numbers.items() if number}
    return {"region": region} if region else {}


def _sarif(found: Sequence[Finding], name: Name) -> str:
    from urllib.parse import quote

    results = [
        {
            "ruleId": one.rule,
            "level": str(one.level),
            "message": {"text": _message(one)},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": quote(name(one.place.file))},
                        **_region(one),
                    }
                }
            ],
            "partialFingerprints": {"dfgen/v1": mark},
        }
        for one, mark in zip(found, _fingerprints(found), strict=True)
    ]
    driver = {"name": "dfgen", "rules": [{"id": rule} for rule in sorted({one.rule for one in found})]}
    return _document(
        {"$schema": _SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}
    )


def _document(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


_WRITERS: dict[str, Callable[[Sequence[Finding], Name], str]] = {
    "github": _github,
    "gitlab": _gitlab,
    "sarif": _sarif,
}
