"""Merge published images that were built on this machine: configurations are read from the layout."""

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


def test_tags_of_images_that_were_built_here_cost_five_requests_with_the_read_back(
    fake: FakeRegistry, client: Registry, clock: FakeClock, layout: Layout
) -> None:
    target, sources = at(fake, NAME, "1.0"), put(fake)
    how = Merging(registry=client, pause=clock.sleep, kept=layout)
    merged = merge_published(target, sources, how)
    assert (fake.count(), fake.count("PUT")) == (5, 1)
    assert fake.tags[NAME]["1.0"] == str(merged.digest)
    fake.forget()
    assert not merge_published(target, sources, how).changed
    assert (fake.count(), fake.count("PUT")) == (3, 0)


def test_a_configuration_that_is_damaged_here_is_read_from_the_registry(
    fake: FakeRegistry, client: Registry, clock: FakeClock, layout: Layout
) -> None:
    layout.blob_path(AMD.manifest.config.digest).write_bytes(b"{}")
    how = Merging(registry=client, pause=clock.sleep, kept=layout)
    assert merge_published(at(fake, NAME, "1.0"), put(fake), how).changed
    assert (fake.count(), fake.count("GET", "/blobs/")) == (6, 1)
