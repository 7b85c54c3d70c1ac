"""hadolint, where it is installed: what it finds in Dockerfiles, as lint's hits."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dfgen.engine.process import Processes
from dfgen.errors import OutsideError
from dfgen.filetree.files import temporary_folder
from dfgen.findings import Level

PROGRAM = "hadolint"
_BATCH = 200  # files a run: a command line has a bound
_LEVELS = {"error": Level.ERROR, "warning": Level.WARNING}
# Its parser refuses what BuildKit takes, a heredoc without an empty line after it; dfgen has read the file.
_UNREAD = "DL1000"
# What tells apart files in which it finds the same: pins, platforms, and numbers such as versions.
_ALIKE = re.compile(r"sha256:[0-9a-f]{64}|--platform=\S+|\d+")


def check(processes: Processes, texts: Mapping[str, str]) -> Iterator[tuple[str, str, Level, str, int]]:
    """Yield path, code, level, message and line of what hadolint finds; of files that are alike it reads one.

    Errors: OutsideError when it fails or answers what is not its JSON.
    """
    alike: dict[str, list[str]] = {}
    for path, text in texts.items():
        alike.setdefault(_ALIKE.sub("", text), []).append(path)
    with temporary_folder("dfgen-lint-") as folder:
        files = {str(folder / str(at)): paths for at, paths in enumerate(alike.values())}
        for file, paths in files.items():
            Path(file).write_text(texts[paths[0]], encoding="utf-8")
        answers = [*_answers(processes, list(files))]
    for one in answers:
        level, message = _LEVELS.get(one["level"], Level.NOTE), " ".join(one["message"].split())
        if one["code"] == _UNREAD:
            level, message = Level.NOTE, f"hadolint cannot read on from here, and checked nothing: {message}"
        for path in files[one["file"]]:
            yield path, one["code"], level, message, one["line"]


def _answers(processes: Processes, files: list[str]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(files), _BATCH):
        batch = files[start : start + _BATCH]
        output = processes.read([PROGRAM, "--no-fail", "--format", "json", *batch], timeout=300)
        try:
            yield from json.loads(output)
        except ValueError as error:
            raise OutsideError(f"{PROGRAM}: its answer is not JSON; run `{PROGRAM} --version`") from error


def installed() -> bool:
    """Whether hadolint is on PATH."""
    return shutil.which(PROGRAM) is not None
