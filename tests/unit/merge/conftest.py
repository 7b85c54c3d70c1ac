"""What the merge tests share: a fake registry, and a client that waits for nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dfgen.outside.registry import NoCredentials, Registry, RegistryOptions
from dfgen.values.reference import Reference, Repository
from tests.fakes.clock import FakeClock
from tests.fakes.registry import FakeRegistry


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def client(clock: FakeClock) -> Registry:
    return Registry(RegistryOptions(), None, NoCredentials(), clock.clock)


def at(fake: FakeRegistry, name: str, tag: str = "") -> Reference:
    return Reference(Repository(fake.address, name), tag)
