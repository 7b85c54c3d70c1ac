"""BuildKit's caches as the catalog names them."""

from __future__ import annotations

from pathlib import Path

from dfgen.catalog.model import BuildCache
from tests.unit.catalogs import FAMILY, loaded, problems


def test_build_caches_are_named_for_each_image(tmp_path: Path) -> None:
    text = "build_cache: {from: ['type=gha,scope={family}'], to: ['type=local,dest=/c/{version}/{arch}']}\n"
    catalog = loaded(tmp_path, FAMILY, text)
    assert catalog.build_cache.of(catalog.images[-1]) == BuildCache(
        sources=("type=gha,scope=app",), targets=("type=local,dest=/c/1.0/aarch64",)
    )


def test_a_placeholder_of_a_build_cache_that_stands_for_nothing(tmp_path: Path) -> None:
    text = "build_cache: {to: ['type=gha', 'type=gha,scope={name}']}\n"
    assert problems(tmp_path, FAMILY, text) == [
        "bases/catalog.yaml:1:32: {name} stands for nothing; known here are {family}, {version} and {arch}"
    ]
