"""Fixtures of the merge tests: two images, and a client whose pauses take no time."""

from __future__ import annotations

import pytest

from dfgen.oci.reference import Reference, Repository
from dfgen.registry import NoCredentials, Registry, RegistryOptions
from tests.fakes.clock import FakeClock
from tests.fakes.images import AMD64, ARM64, image
from tests.fakes.registry import FakeRegistry

NAME = "team/java-base"
AMD, ARM = image(AMD64, [b"amd64 layer"]), image(ARM64, [b"arm64 layer"])


@pytest.fixture
def client(clock: FakeClock) -> Registry:
    return Registry(RegistryOptions(), None, NoCredentials(), clock.clock)


def at(fake: FakeRegistry, name: str, tag: str = "") -> Reference:
    return Reference(Repository(fake.address, name), tag)


def put(fake: FakeRegistry, name: str = NAME) -> tuple[Reference, Reference]:
    """Push two per-architecture tags, as two builders would."""
    fake.add_image(name, AMD, "1.0-x86_64")
    fake.add_image(name, ARM, "1.0-aarch64")
    return at(fake, name, "1.0-x86_64"), at(fake, name, "1.0-aarch64")
