"""Configurations of images that were built on this machine are read from the layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.commands.merge import Merging, merge_published
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Descriptor
from dfgen.registry import Registry
from tests.fakes.clock import FakeClock
from tests.fakes.registry import FakeRegistry
from tests.unit.merge.conftest import AMD, ARM, NAME, at, put


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "dist")
    entries: dict[str, Descriptor | None] = {
        "java-base:1.0-x86_64": AMD.put_into(layout),
        "java-base:1.0-aarch64": ARM.put_into(layout),
    }
    layout.tag(entries)
    return layout


def test_local_configurations_save_requests(
    fake: FakeRegistry, client: Registry, clock: FakeClock, layout: Layout
) -> None:
    target, sources = at(fake, NAME, "1.0"), put(fake)
    how = Merging(registry=client, pause=clock.sleep, local_blobs=layout)
    merged = merge_published(target, sources, how)
    assert (fake.count(), fake.count("PUT")) == (5, 1)
    assert fake.tags[NAME]["1.0"] == str(merged.digest)
    fake.forget()
    assert not merge_published(target, sources, how).changed
    assert (fake.count(), fake.count("PUT")) == (3, 0)


def test_a_damaged_local_configuration_is_read_from_the_registry(
    fake: FakeRegistry, client: Registry, clock: FakeClock, layout: Layout
) -> None:
    layout.blob_path(AMD.manifest.config.digest).write_bytes(b"{}")
    how = Merging(registry=client, pause=clock.sleep, local_blobs=layout)
    assert merge_published(at(fake, NAME, "1.0"), put(fake), how).changed
    assert (fake.count(), fake.count("GET", "/blobs/")) == (6, 1)
