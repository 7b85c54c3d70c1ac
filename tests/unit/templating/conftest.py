from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.dockerfile.oracle import Oracle, running_oracle
from tests.unit.templating.helpers import TemplateFolder


@pytest.fixture(scope="session")
def oracle() -> Iterator[Oracle]:
    with running_oracle() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> TemplateFolder:
    return TemplateFolder(tmp_path)
