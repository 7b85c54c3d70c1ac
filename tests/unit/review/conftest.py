"""Fixtures of the review tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.review.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return two states in a temporary folder, not yet written."""
    return World(tmp_path)
