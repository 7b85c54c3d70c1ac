"""The cost of reviewing a revision, as counts: times would depend on the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.catalog import PLATFORMS, make
from tests.unit.cli.run import dfgen
from tests.unit.counts import count
from tests.unit.repositories import commit, git

VERSIONS = 20
FILES = VERSIONS * len(PLATFORMS)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered catalog in a repository."""
    folder = tmp_path_factory.mktemp("catalog")
    make(folder, VERSIONS)
    assert dfgen("-C", folder, "render").status == 0
    git(folder, "init", "-q")
    commit(folder)
    return folder


def test_cost_of_git_does_not_depend_on_the_change(root: Path) -> None:
    none = count(root, "review", "HEAD")
    template = root / "templates/base.j2"
    template.write_text(template.read_text().replace("USER 1000", "USER 1001"))
    assert dfgen("-C", root, "render").status == 0
    every = count(root, "review", "HEAD")
    assert (none["programs run"], every["programs run"]) == (6, 6 + len(("templates", "Dockerfiles")))
    # Build records (missing); settings and template twice: to compare, and to load.
    assert none["files opened"] == every["files opened"] == FILES + 1 + 2 * 3
    assert none["templates compiled"] == every["templates compiled"] == 1
