"""Fixtures of the lock tests: two parents in a registry, and a catalog built on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.catalog.model import Catalog
from tests.unit.catalogs import FAMILY, loaded
from tests.unit.lock.fakes import MemoryRegistry
from tests.unit.lock.parents import KEY, OTHER, TWO


@pytest.fixture
def registry() -> MemoryRegistry:
    found = MemoryRegistry()
    found.index(KEY, amd64="a1", arm64="b1", s390x="c1")
    found.index(OTHER, amd64="x1", arm64="y1")
    return found


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return loaded(tmp_path, FAMILY + TWO)
