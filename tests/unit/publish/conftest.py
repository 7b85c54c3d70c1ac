"""Fixtures of the publish tests: a layout with merged versions, and the options of a publish."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Image, by_version
from dfgen.commands.merge import merge_layout
from dfgen.commands.publish import Publishing
from dfgen.commands.publish.ledger import Ledger
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import INPUTS, Descriptor
from dfgen.registry import NoCredentials, Registry, RegistryOptions
from tests.fakes.clock import FakeClock
from tests.fakes.images import AMD64, ARM64, FakeImage, image
from tests.fakes.registry import FakeRegistry
from tests.unit.pairs import catalog, pair

Build = Callable[..., None]
How = Callable[..., Publishing]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "dist")


def built(images: Sequence[Image], stamp: str = "") -> dict[str, FakeImage]:
    """Return the images that a build would produce; a different stamp gives different images."""
    made = {}
    for one in images:
        layers = [f"base {one.platform}".encode(), f"{one.layout_name} {stamp}".encode()]
        made[one.layout_name] = image(one.platform, layers, annotations={INPUTS: str(Digest.of(layers[1]))})
    return made


@pytest.fixture
def build(layout: Layout) -> Build:
    """Put images into the layout and merge their versions."""

    def build(images: Sequence[Image], stamp: str = "") -> None:
        put(layout, built(images, stamp))
        result = merge_layout(layout, Lock(), by_version(images))
        assert (result.failed, result.waiting) == (None, {})

    return build


def put(layout: Layout, images: Mapping[str, FakeImage]) -> None:
    entries: dict[str, Descriptor | None] = {name: made.put_into(layout) for name, made in images.items()}
    layout.tag(entries)


@pytest.fixture
def how(fake: FakeRegistry, layout: Layout, clock: FakeClock) -> How:
    """Return the options to publish images to the fake registry."""

    def how(images: Sequence[Image], **options: Any) -> Publishing:
        defaults = {
            "catalog": catalog(images, f"{fake.address}/team"),
            "store": layout,
            "registry": Registry(RegistryOptions(), None, NoCredentials(), clock.clock),
            "ledger": Ledger(layout.root),
            "registries": [f"{fake.address}/team"],
            "pause": clock.sleep,
        }
        return Publishing(**{**defaults, **options})

    return how


def tags(layout: Layout, name: str = "java-base") -> dict[str, str]:
    """Return the digests that the registry's tags must have after a publish."""
    found = layout.entries()
    return {key.partition(":")[2]: str(entry.digest) for key, entry in found.items() if key.startswith(name)}


def writes(fake: FakeRegistry) -> list[str]:
    return [seen.call.path for seen in fake.seen if seen.call.method in ("PUT", "POST", "PATCH")]


__all__ = ["AMD64", "ARM64", "Build", "How", "built", "pair", "put", "tags", "writes"]
