from collections.abc import Iterator

import pytest

from tests.unit.dockerfile.oracle import Oracle, running_oracle


@pytest.fixture(scope="session")
def oracle() -> Iterator[Oracle]:
    with running_oracle() as running:
        yield running
