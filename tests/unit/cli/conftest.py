"""Fixtures of command tests: a git repository with a catalog."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit import repositories


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a repository once, to copy it for each test."""
    return repositories.repository(tmp_path_factory.mktemp("pristine") / "repository")


@pytest.fixture
def repository(pristine: Path, tmp_path: Path) -> Path:
    """A repository with a rendered catalog in its folder `images`, on a branch off main."""
    return Path(shutil.copytree(pristine, tmp_path / "repository", symlinks=True))


@pytest.fixture
def catalog(repository: Path) -> Path:
    """The catalog of the repository."""
    return repository / "images"
