"""Properties of any graph in any state: every needed image once, parents first, with the right reason."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.catalog.model import Image
from tests.unit.models import a_test
from tests.unit.world import World

NAMES = "abcde"
ALL = [f"{name}:1@{arch}" for name in NAMES for arch in ("amd64", "arm64")]
Graph = Mapping[str, list[str]]


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Changes since the images were built, by their names."""

    touched: set[str]
    damaged: set[str]
    tested: set[str]


def some() -> st.SearchStrategy[set[str]]:
    return st.sets(st.sampled_from(ALL), max_size=2)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Draw families of which each is built on earlier ones, at most two, in a shuffled order."""
    graph = {
        name: draw(st.lists(st.sampled_from(NAMES[:at]), unique=True, max_size=2)) if at else []
        for at, name in enumerate(NAMES)
    }
    return {name: graph[name] for name in draw(st.permutations(NAMES))}


def change(world: World, changes: Changes) -> None:
    entries = world.layout.entries()
    for image in world.catalog.images:
        path, entry = world.root / image.dockerfile, entries.get(f"{image.family.name}:{image.tag}")
        if image.name in changes.touched and path.exists():
            path.write_text(f"{path.read_text()}# touched\n")
        if image.name in changes.damaged and entry:
            world.layout.blob_path(entry.digest).unlink()
        if image.name in changes.tested:
            world.change(image.name, tests=(a_test(),))


def closure(graph: Graph, names: Iterable[str]) -> set[str]:
    """Families with all their parents."""
    return set(names) | {one for name in names for one in closure(graph, graph[name])}


def expected(world: World, image: Image, changes: Changes, earlier: Mapping[str, str]) -> str:
    """The expected reason, from the changes; `earlier` has the reasons of the parents."""
    families = [parent for parent in image.all_parents if parent.family]
    waiting = [parent.key for parent in families if parent.key not in world.lock.parents]
    if waiting:
        return f"parent rebuilt: {' and '.join(waiting)}"
    if f"{image.family.name}:{image.tag}" not in world.layout.entries():
        return "not built yet"
    if image.name in changes.touched:
        return "inputs changed: Dockerfile"
    if image.name in changes.damaged:
        return "damaged in the layout"
    if image.name in changes.tested:
        return "smoke tests changed"
    arch = image.name.partition("@")[2]
    same = ("up to date", "smoke tests changed")
    rebuilt = [parent.key for parent in families if earlier[f"{parent.key}@{arch}"] not in same]
    return f"parent rebuilt: {' and '.join(rebuilt)}" if rebuilt else "up to date"


@settings(max_examples=20, deadline=None)
@given(
    graph=graphs(),
    built=st.sets(st.sampled_from(ALL)),
    changes=st.builds(Changes, touched=some(), damaged=some(), tested=some()),
    wanted=st.sets(st.sampled_from(ALL), min_size=1),
)
def test_any_graph_in_any_state(graph: Graph, built: set[str], changes: Changes, wanted: set[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World.of(Path(folder), graph)
        if built:
            world.build(*built)
        change(world, changes)
        steps = world.plan(*wanted).steps
        order = [step.image.name for step in steps]
        asked = {name[0] for name in wanted}
        whole = closure(graph, {parent for name in asked for parent in graph[name]})

        assert len(order) == len(set(order))
        assert set(order) == wanted | {name for name in ALL if name[0] in whole}
        reasons: dict[str, str] = {}
        for step in steps:
            for parent in (one for one in step.image.all_parents if one.family):
                assert f"{parent.key}@{step.image.name.partition('@')[2]}" in reasons
            reasons[step.image.name] = step.why
            assert step.why == expected(world, step.image, changes, reasons)
