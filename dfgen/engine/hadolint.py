"""Run hadolint, if it is installed, and convert its output into lint findings."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dfgen.engine.process import Processes
from dfgen.errors import ExternalError
from dfgen.filetree.files import temporary_folder
from dfgen.findings import Level

PROGRAM = "hadolint"
_BATCH = 200  # files per run; keeps the command line below the system's limit
_LEVELS = {"error": Level.ERROR, "warning": Level.WARNING}
# hadolint rejects heredocs without a blank line after them, which BuildKit accepts. dfgen's own parser has
# already accepted the file, so a parse error of hadolint is only a note.
_PARSE_ERROR = "DL1000"
# Pins, platforms and numbers (for example versions) do not change what hadolint finds.
_VARYING = re.compile(r"sha256:[0-9a-f]{64}|--platform=\S+|\d+")


def check(processes: Processes, texts: Mapping[str, str]) -> Iterator[tuple[str, str, Level, str, int]]:
    """Yield path, code, level, message and line of each finding.

    Files that differ only in pins, platforms or numbers are checked once, and share the findings.
    Raises ExternalError if hadolint fails or does not print JSON.
    """
    groups: dict[str, list[str]] = {}
    for path, text in texts.items():
        groups.setdefault(_VARYING.sub("", text), []).append(path)
    with temporary_folder("dfgen-lint-") as folder:
        files = {str(folder / str(at)): paths for at, paths in enumerate(groups.values())}
        for file, paths in files.items():
            Path(file).write_text(texts[paths[0]], encoding="utf-8")
        findings = [*_findings(processes, list(files))]
    for one in findings:
        level, message = _LEVELS.get(one["level"], Level.NOTE), " ".join(one["message"].split())
        if one["code"] == _PARSE_ERROR:
            level, message = Level.NOTE, f"hadolint cannot parse this line and checked nothing: {message}"
        # The line is valid for every file of the group, since they differ only within lines.
        for path in files[one["file"]]:
            yield path, one["code"], level, message, one["line"]


def _findings(processes: Processes, files: list[str]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(files), _BATCH):
        batch = files[start : start + _BATCH]
        output = processes.read([PROGRAM, "--no-fail", "--format", "json", *batch], timeout=300)
        try:
            yield from json.loads(output)
        except ValueError as error:
            raise ExternalError(f"{PROGRAM}: its output is not JSON; run `{PROGRAM} --version`") from error


def installed() -> bool:
    """Whether hadolint is on PATH."""
    return shutil.which(PROGRAM) is not None
