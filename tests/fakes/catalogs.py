"""Catalogs for tests of what happens after rendering, made without files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from dfgen.model.catalog import Catalog, Family, Image, JinjaOptions, Parent
from dfgen.model.lock import Lock, LockedParent, Pin
from dfgen.values.digest import Digest
from dfgen.values.errors import Place
from dfgen.values.manifest import OCI_INDEX
from dfgen.values.platform import Platform
from dfgen.values.reference import Reference
from tests.fakes.images import AMD64, ARM64

PARENT = "docker.io/library/debian:12"
PLACE = Place("bases/java-base/base.yaml", 3, 1)


def family(name: str = "java-base", architecture_independent: bool = False) -> Family:
    return Family(
        name=name,
        description="",
        context=PurePosixPath("bases", name),
        snippets=frozenset(),
        jinja=JinjaOptions(),
        architecture_independent=architecture_independent,
        lint={},
    )


def catalog_image(
    platform: Platform,
    of: Family | None = None,
    version: str = "1.0",
    parent: str = PARENT,
    immutable: bool = False,
) -> Image:
    return Image(
        family=of or family(),
        version=version,
        platform=platform,
        template="",
        parent=Parent(reference=Reference.parse(parent), platform=platform, place=PLACE),
        parents={},
        variables={},
        packages=(),
        labels={},
        tests=(),
        immutable=immutable,
        end_of_life="",
        place=PLACE,
        layers=(),
    )


def pair(of: Family | None = None, version: str = "1.0", immutable: bool = False) -> tuple[Image, Image]:
    """The images of one version for amd64 and arm64."""
    of = of or family()
    amd64, arm64 = (catalog_image(one, of, version, immutable=immutable) for one in (AMD64, ARM64))
    return amd64, arm64


def catalog(images: Sequence[Image], registry: str = "registry.example/team") -> Catalog:
    return Catalog(
        root=Path(),
        registry=registry,
        mirrors={},
        builders={},
        source_date_epoch=0,
        provenance=False,
        insecure_registries=frozenset(),
        ca_file=None,
        families={image.family.name: image.family for image in images},
        images=tuple(images),
    )


def pinned(parent: str = PARENT) -> Lock:
    """A lock with one parent for amd64 and arm64."""
    pins = {platform: Pin(Digest.of(f"{parent} {platform}".encode())) for platform in (AMD64, ARM64)}
    index = Digest.of(parent.encode())
    locked = LockedParent(digest=index, media_type=OCI_INDEX, first_seen="2026-01-01", platforms=pins)
    return Lock({parent: locked})
