"""Create records of the catalog model; tests set only the fields that matter to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from dfgen.catalog.lockfile import Lock, LockedParent, Pin
from dfgen.catalog.model import Builder, Catalog, Family, Image, JinjaOptions, Parent, SmokeTest
from dfgen.errors import Place
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import OCI_INDEX
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference

AMD64, ARM64 = Platform.parse("amd64"), Platform.parse("arm64")
BOTH = (AMD64, ARM64)
LOCAL = Builder()
UPSTREAM = "docker.io/library/busybox:1"


def family(name: str, **more: Any) -> Family:
    """Create a family whose build context is its folder."""
    settings: dict[str, Any] = {
        "description": "",
        "context": PurePosixPath("bases", name),
        "snippets": frozenset(),
        "jinja": JinjaOptions(),
        "architecture_independent": False,
    }
    return Family(name=name, **{**settings, **more})


def parent(key: str, platform: Platform = AMD64, line: int = 2) -> Parent:
    """Create a parent: a key such as `a:1` is a version of the catalog, a reference is upstream."""
    place = Place("bases/base.yaml", line)
    if "/" in key:
        return Parent(reference=Reference.parse(key), platform=platform, place=place)
    name, _, version = key.partition(":")
    reference = Reference.parse(f"localhost/{key}")
    return Parent(reference=reference, platform=platform, place=place, family=name, version=version)


def image(name: str, platform: Platform = AMD64, parents: Sequence[str] = (UPSTREAM,), **more: Any) -> Image:
    """Create an image of version 1, or of `name:version`."""
    stem, _, version = name.partition(":")
    settings: dict[str, Any] = {
        "template": "t.j2",
        "parent": parent(parents[0], platform),
        "parents": {f"stage{at}": parent(key, platform) for at, key in enumerate(parents[1:])},
        "variables": {},
        "packages": (),
        "labels": {},
        "tests": (),
        "immutable": False,
        "end_of_life": "",
        "place": Place(f"bases/{stem}/base.yaml", 1),
        "layers": (),
    }
    merged = {**settings, **more}
    return Image(
        family=merged.pop("family", family(stem)), version=version or "1", platform=platform, **merged
    )


def images(graph: Mapping[str, Sequence[str]], platforms: Iterable[Platform] = BOTH) -> tuple[Image, ...]:
    """Create version 1 of families; each maps to its parent families, or none for an upstream parent."""
    return tuple(
        image(name, platform, [f"{one}:1" for one in parents] or [UPSTREAM])
        for name, parents in graph.items()
        for platform in platforms
    )


def catalog(root: Path, found: Sequence[Image], **more: Any) -> Catalog:
    """Create a catalog with these images."""
    settings: dict[str, Any] = {
        "registry": "localhost",
        "mirrors": {},
        "builders": {},
        "source_date_epoch": 0,
        "provenance": "",
        "insecure_registries": frozenset(),
        "ca_file": None,
        "families": {one.family.name: one.family for one in found},
    }
    return Catalog(root=root, images=tuple(found), **{**settings, **more})


def upstream_lock() -> Lock:
    """Pin the upstream parent for both platforms."""
    pins = {platform: Pin(Digest.of(str(platform).encode()), 7) for platform in BOTH}
    locked = LockedParent(
        digest=Digest.of(b"index"), media_type=OCI_INDEX, first_seen="2026-01-01", platforms=pins
    )
    return Lock({UPSTREAM: locked})


def a_test(**more: Any) -> SmokeTest:
    """Create a smoke test."""
    return SmokeTest(**{"name": "works", "command": ("true",), **more})
