"""Merging from build records: nothing is read that the build knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.outside.layout import Layout
from dfgen.outside.registry import Registry
from dfgen.stages.merge import Merging, merge_published, merge_recorded, recorded
from dfgen.values.errors import CheckError
from dfgen.values.manifest import OCI_INDEX, Descriptor
from tests.fakes.clock import FakeClock
from tests.fakes.images import AMD64, ARM64, image, index_of
from tests.fakes.registry import FakeRegistry
from tests.unit.merge.conftest import AMD, ARM, NAME, at, put
from tests.unit.pairs import pair


@pytest.fixture
def merging(client: Registry, clock: FakeClock) -> Merging:
    return Merging(registry=client, pause=clock.sleep)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "dist")
    entries: dict[str, Descriptor | None] = {
        "java-base:1.0-x86_64": AMD.put_into(layout),
        "java-base:1.0-aarch64": ARM.put_into(layout),
    }
    layout.tag(entries)
    return layout


def test_from_build_records_a_new_tag_costs_five_requests_with_the_read_back(
    fake: FakeRegistry, merging: Merging, layout: Layout
) -> None:
    put(fake)
    children = recorded(pair(), layout)
    merged = merge_recorded(at(fake, NAME, "1.0"), children, merging)
    assert fake.tags[NAME]["1.0"] == str(merged.digest)
    assert (fake.count(), fake.count("PUT")) == (5, 1)


def test_from_build_records_a_moved_tag_costs_no_more(
    fake: FakeRegistry, merging: Merging, layout: Layout
) -> None:
    put(fake)
    old = [image(platform, [b"old %d" % number]) for number, platform in enumerate((AMD64, ARM64))]
    for made in old:
        fake.add_image(NAME, made)
    fake.add_manifest(NAME, index_of([made.descriptor for made in old]), OCI_INDEX, "1.0")
    children = recorded(pair(), layout)
    merged = merge_recorded(at(fake, NAME, "1.0"), children, merging)
    assert fake.tags[NAME]["1.0"] == str(merged.digest)
    assert (fake.count(), fake.count("PUT")) == (5, 1)
    fake.forget()
    assert not merge_recorded(at(fake, NAME, "1.0"), children, merging).changed
    assert (fake.count(), fake.count("PUT")) == (3, 0)


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


def test_a_recorded_image_that_was_not_pushed_is_refused(
    fake: FakeRegistry, merging: Merging, layout: Layout
) -> None:
    fake.add_image(NAME, AMD, "1.0-x86_64")
    target = at(fake, NAME, "1.0")
    with pytest.raises(CheckError) as caught:
        merge_recorded(target, recorded(pair(), layout), merging)
    assert str(caught.value) == (
        f"{target}: not merged: {target.repository} has no {ARM.descriptor.digest};"
        " push it first, with `dfgen publish`"
    )
    assert fake.count("PUT") == 0
