"""One version for two architectures, with its lock, for tests of the steps after rendering."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dfgen.catalog.lockfile import Lock, LockedParent, Pin
from dfgen.catalog.model import Catalog, Family, Image
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import OCI_INDEX
from dfgen.oci.platform import Platform
from tests.unit import models
from tests.unit.models import AMD64, ARM64

PARENT = "docker.io/library/debian:12"


def family(name: str = "java-base", architecture_independent: bool = False) -> Family:
    return models.family(name, architecture_independent=architecture_independent)


def catalog_image(
    platform: Platform,
    of: Family | None = None,
    version: str = "1.0",
    parent: str = PARENT,
    immutable: bool = False,
) -> Image:
    of = of or family()
    return models.image(f"{of.name}:{version}", platform, [parent], family=of, immutable=immutable)


def pair(of: Family | None = None, version: str = "1.0", immutable: bool = False) -> tuple[Image, Image]:
    """Create the images of one version for amd64 and arm64."""
    of = of or family()
    amd64, arm64 = (catalog_image(one, of, version, immutable=immutable) for one in (AMD64, ARM64))
    return amd64, arm64


def catalog(images: Sequence[Image], registry: str = "registry.example/team") -> Catalog:
    return models.catalog(Path(), images, registry=registry)


def pinned(parent: str = PARENT) -> Lock:
    """Create a lock with one parent for amd64 and arm64."""
    pins = {platform: Pin(Digest.of(f"{parent} {platform}".encode())) for platform in (AMD64, ARM64)}
    index = Digest.of(parent.encode())
    locked = LockedParent(digest=index, media_type=OCI_INDEX, first_seen="2026-01-01", platforms=pins)
    return Lock({parent: locked})
