"""The proxy that adds latency: it forwards all bytes unchanged, also on many connections at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dfgen.concurrent import each
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import Descriptor
from dfgen.oci.reference import Reference
from dfgen.registry import NoCredentials, Registry
from tests.bench.serving import far_address
from tests.fakes.images import AMD64, ARM64, image
from tests.fakes.registry import FakeRegistry


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def address(fake: FakeRegistry) -> Iterator[str]:
    with far_address(fake.address, 0.001) as found:
        yield found


def test_manifests_and_blobs_are_forwarded_unchanged(fake: FakeRegistry, address: str) -> None:
    registry = Registry(credentials=NoCredentials())
    made = image(layers=(bytes(300_000),))
    home = Reference.parse(f"{address}/team/java:1")
    for data in made.blobs.values():
        registry.upload(home.repository, Descriptor.of(data, "application/octet-stream"), data)
    registry.put_manifest(home, made.raw, made.media_type)
    assert fake.tags["team/java"] == {"1": str(Digest.of(made.raw))}
    assert registry.manifest(home).raw == made.raw
    assert registry.blob(home.repository, made.manifest.config) in made.blobs.values()


def test_concurrent_connections_get_their_own_responses(fake: FakeRegistry, address: str) -> None:
    made = [image(one, annotations={"number": str(n)}) for n in range(12) for one in (AMD64, ARM64)]
    for one in made:
        fake.add_image("team/java", one)
    registry = Registry(credentials=NoCredentials())
    repository = Reference.parse(f"{address}/team/java").repository
    names = [Reference(repository, digest=one.descriptor.digest) for one in made]
    assert [found.raw for found in each(registry.manifest, names, 16)] == [one.raw for one in made]
