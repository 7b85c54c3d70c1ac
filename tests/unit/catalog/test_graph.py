"""The graph of images: what is built on a selection."""

from __future__ import annotations

from dfgen.catalog.graph import with_descendants
from tests.unit.models import AMD64, images

GRAPH = {"top": ["middle", "other"], "middle": ["base"], "base": [], "other": [], "alone": []}


def names(*selected: str) -> list[str]:
    found = images(GRAPH, [AMD64])
    chosen = [image for image in found if image.family.name in selected]
    return [image.family.name for image in with_descendants(chosen, found)]


def test_descendants_follow_their_parents() -> None:
    assert names("base") == ["base", "middle", "top"]
    assert names("middle") == ["middle", "top"]
    assert names("other") == ["other", "top"]
    assert names("alone") == ["alone"]
    assert names("top", "base") == ["base", "middle", "top"]
    assert names() == []
