"""Catalogs on disk that are linted with the command line."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from dfgen.catalog.lockfile import LOCK_FILE
from tests.unit.catalogs import FAMILY, loaded, locked, write
from tests.unit.cli.run import Done, dfgen

BUILDKIT = "not run: hadolint (not installed) and BuildKit's checks (`dfgen lint --buildkit`)"
T = "templates/t.j2"
# A fake hadolint that reports one finding in its first file.
HADOLINT = """\
#!/bin/sh
/bin/echo run >> "$0.log"
shift 3
/bin/echo '[{"code": "DL3008", "column": 1, "file": "'$1'", "level": "info", "line": 7, "message": "Pin it"}]'
"""


class Linting:
    """Writes catalogs with the family `app` and runs `dfgen lint`, without hadolint on PATH."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def catalog(self, template: str = "FROM {{ parent }}\n", base: str = FAMILY, **files: str) -> None:
        """Write a catalog and pin its parents."""
        texts: Mapping[str, str] = {T: template, **files}
        catalog = loaded(self.root, base, **texts)
        write(self.root, {T: template, LOCK_FILE: locked(catalog).to_text()})

    def run(self, *words: str) -> Done:
        """Run lint."""
        return dfgen("-C", self.root, "lint", *words)

    def found(self, *words: str) -> list[str]:
        """Run lint and return the lines of its findings."""
        return self.run(*words).out.splitlines()


@pytest.fixture
def linting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Linting:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert shutil.which("hadolint") is None
    return Linting(tmp_path)
