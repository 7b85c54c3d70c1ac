"""What the registry tests share: a fake registry, a clock that waits for nothing, and a client on both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dfgen.outside.registry import Credentials, Login, NoCredentials, Registry, RegistryOptions, Transport
from dfgen.values.reference import Reference, Repository
from tests.fakes.clock import FakeClock
from tests.fakes.images import FakeImage, image
from tests.fakes.registry import FakeRegistry

MakeClient = Callable[..., Registry]


class Logins:
    """The same login for every registry; `asked` says for which."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self.asked: set[str] = set()

    def login(self, registry: str) -> Login | None:
        self.asked.add(registry)
        return self._login


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def time() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make(time: FakeClock) -> MakeClient:
    """Make a client; options are those of RegistryOptions."""

    def make(
        credentials: Credentials | None = None, transport: Transport | None = None, **options: Any
    ) -> Registry:
        return Registry(RegistryOptions(**options), transport, credentials or NoCredentials(), time.clock)

    return make


@pytest.fixture
def client(make: MakeClient) -> Registry:
    return make()


@pytest.fixture
def app() -> FakeImage:
    return image()


@pytest.fixture
def there(fake: FakeRegistry, app: FakeImage) -> Reference:
    """An image that is in the fake registry."""
    fake.add_image("team/app", app, "1.0")
    return Reference(Repository(fake.address, "team/app"), "1.0")
