from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.dockerfile.oracle import Oracle, running_oracle
from tests.unit.templating.helpers import Memory


@pytest.fixture(scope="session")
def oracle() -> Iterator[Oracle]:
    with running_oracle() as running:
        yield running


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path)
