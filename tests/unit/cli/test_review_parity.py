"""Undeclared differences between architectures in `dfgen review`."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.catalog.lockfile import LOCK_FILE
from tests.unit.catalogs import FAMILY, loaded, locked, write
from tests.unit.cli.run import dfgen

T = "templates/t.j2"
AMD64 = "bases/app/1.0/Dockerfile_amd64"
PLAIN = "FROM {{ parent }}\nRUN get app-{{ platform.architecture }}.tgz\n"
ODD = PLAIN + '{% if platform.architecture == "arm64" %}\nRUN b\n{% else %}\nRUN a\n{% endif %}\n'
END = "declare the difference under platforms in base.yaml, or remove it"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def _put(root: Path, template: str, base: str = FAMILY) -> Path:
    catalog = loaded(root, base, **{T: template})
    write(root, {T: template, LOCK_FILE: locked(catalog).to_text()})
    assert dfgen("-C", root, "render").status == 0
    return root


def _findings(root: Path, old: str, new: str, base: str = FAMILY) -> tuple[list[str], list[str]]:
    before, after = _put(root / "before", old, base), _put(root / "after", new, base)
    found, linted = (
        [line for line in done.out.splitlines() if "[arch-parity]" in line]
        for done in (dfgen("review", before, after), dfgen("-C", after, "lint"))
    )
    return found, linted


def test_new_difference_is_reported_once_as_in_lint(root: Path) -> None:
    base = FAMILY.replace('["1.0"]', '["1.0", "2.0"]')
    found, linted = _findings(root, PLAIN, ODD, base)
    assert found == linted
    assert found == [
        f"{T}:6: warning: amd64: `RUN a` | arm64: `RUN b` — {END} (in 2 files) [arch-parity] (in {AMD64}:8)"
    ]


def test_platform_names_are_not_a_difference(root: Path) -> None:
    assert _findings(root, "FROM {{ parent }}\n", PLAIN) == ([], [])


def test_unchanged_versions_are_not_reported(root: Path) -> None:
    found, linted = _findings(root, ODD, ODD)
    assert (found, len(linted)) == ([], 1)


def test_disabled_rule_is_not_reported(root: Path) -> None:
    base = f"{FAMILY}lint: {{ignore: {{arch-parity: meant}}}}\n"
    assert _findings(root, PLAIN, ODD, base) == ([], [])
