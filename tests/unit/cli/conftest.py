"""What the tests of commands share: a repository with a catalog."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit import repositories


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose rendered catalog lies in its folder `images`, on a branch that left main."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return repositories.repository(tmp_path / "repository")


@pytest.fixture
def catalog(repository: Path) -> Path:
    """The catalog of the repository."""
    return repository / "images"
