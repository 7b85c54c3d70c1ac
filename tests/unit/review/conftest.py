"""The world of a review test, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.review.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two states that are still to be made."""
    return World(tmp_path)
