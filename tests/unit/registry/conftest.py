"""Fixtures of the registry tests: a fake registry, a clock that does not wait, and a client that uses both."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dfgen.oci.manifest import Descriptor
from dfgen.oci.reference import Reference, Repository
from dfgen.registry import Credentials, Login, NoCredentials, Registry, RegistryOptions, Transport
from tests.fakes.clock import FakeClock
from tests.fakes.images import FakeImage, image
from tests.fakes.registry import FakeRegistry

MakeClient = Callable[..., Registry]

DATA = bytes(range(256)) * 4000
LAYER = Descriptor.of(DATA, "application/octet-stream")
UPLOADS = "/v2/team/app/blobs/uploads/"
ALICE = Login(username="alice", password="open-sesame")
HEADER = "Basic " + b64encode(b"alice:open-sesame").decode()


class Logins:
    """Returns the same login for every registry; `asked` are the registries it was asked for."""

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
    """Return a function that makes a client; it accepts the options of RegistryOptions."""

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
def reference(fake: FakeRegistry, app: FakeImage) -> Reference:
    """Return the reference of an image in the fake registry."""
    fake.add_image("team/app", app, "1.0")
    return Reference(Repository(fake.address, "team/app"), "1.0")


@pytest.fixture
def repository(fake: FakeRegistry) -> Repository:
    return Repository(fake.address, "team/app")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "layer"
    path.write_bytes(DATA)
    return path


def stored(fake: FakeRegistry) -> bytes | None:
    return fake.blobs.get("team/app", {}).get(str(LAYER.digest))


def steps(fake: FakeRegistry) -> list[str]:
    return [f"{seen.call.method} {seen.status}" for seen in fake.seen]
