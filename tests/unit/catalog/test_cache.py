"""The `build_cache` setting of a catalog."""

from __future__ import annotations

from pathlib import Path

from dfgen.catalog.model import BuildCache
from tests.unit.catalogs import FAMILY, loaded, problems


def test_placeholders_are_replaced_for_each_image(tmp_path: Path) -> None:
    text = "build_cache: {from: ['type=gha,scope={family}'], to: ['type=local,dest=/c/{version}/{arch}']}\n"
    catalog = loaded(tmp_path, FAMILY, text)
    assert catalog.build_cache.of(catalog.images[-1]) == BuildCache(
        sources=("type=gha,scope=app",), targets=("type=local,dest=/c/1.0/aarch64",)
    )


def test_an_unknown_placeholder(tmp_path: Path) -> None:
    text = "build_cache: {to: ['type=gha', 'type=gha,scope={name}']}\n"
    assert problems(tmp_path, FAMILY, text) == [
        "bases/catalog.yaml:1:32: unknown placeholder {name}; known are {family}, {version} and {arch}"
    ]
