"""Fixtures of the unit tests: an empty home, so that the user's configuration has no effect, and fakes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.registry import FakeRegistry


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give git, docker, hadolint and dfgen an empty home."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        environment.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        environment.setenv("GIT_CONFIG_NOSYSTEM", "1")
        for name in ("DOCKER_CONFIG", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
            environment.delenv(name, raising=False)
        yield


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
