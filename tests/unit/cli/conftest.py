"""What the tests of commands share: a repository with a catalog."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit import repositories


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that is made once, to be copied."""
    return repositories.repository(tmp_path_factory.mktemp("pristine") / "repository")


@pytest.fixture
def repository(pristine: Path, tmp_path: Path) -> Path:
    """A repository whose rendered catalog lies in its folder `images`, on a branch that left main."""
    return Path(shutil.copytree(pristine, tmp_path / "repository", symlinks=True))


@pytest.fixture
def catalog(repository: Path) -> Path:
    """The catalog of the repository."""
    return repository / "images"
