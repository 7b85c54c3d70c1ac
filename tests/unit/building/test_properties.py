"""Properties of any graph on any nodes, with failures and lost nodes: no image is lost, built twice, or stuck."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.catalog.model import Builder
from dfgen.commands.building.run import NodeLost, Run
from dfgen.engine.nodes import Slots
from dfgen.errors import CheckError, ExternalError
from tests.unit.models import AMD64, ARM64
from tests.unit.world import World, states

NAMES = "abcd"
ALL = [f"{name}:1@{arch}" for name in NAMES for arch in ("amd64", "arm64")]
NODES = tuple(Builder(context=name) for name in ("one", "two", "three"))
SHARED = {AMD64: (NODES[0], NODES[1]), ARM64: (NODES[0], NODES[2])}
WAIT = 60.0  # seconds after which a run counts as hung
Graph = Mapping[str, list[str]]


@dataclass
class Machines:
    """Scripted nodes: `failing` images fail, and `deadly` ones kill the first node that builds them."""

    world: World
    failing: set[str]
    deadly: set[str]
    ended: Counter[str] = field(default_factory=Counter)
    most: Counter[Builder] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._guard, self._now = threading.Lock(), Counter[Builder]()

    def during(self, name: str) -> None:
        node = self.world.builder.requests[name].node
        with self._guard:
            self._now[node] += 1
            self.most[node] = max(self.most[node], self._now[node])
            if name in self.deadly:
                self.deadly.remove(name)
                self.world.builder.dead.add(node)
        time.sleep(0.001)  # lets other builds start, if their limits allow
        with self._guard:
            self._now[node] -= 1
            if node in self.world.builder.dead:
                raise ExternalError("connection lost")
            if name in self.failing:
                raise CheckError("no")
            self.ended[name] += 1


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    graph = {
        name: draw(st.lists(st.sampled_from(NAMES[:at]), unique=True, max_size=2)) if at else []
        for at, name in enumerate(NAMES)
    }
    return {name: graph[name] for name in draw(st.permutations(NAMES))}


def blocked(graph: Graph, failing: set[str], name: str) -> bool:
    """Whether an image has a parent, direct or not, of which some image fails."""
    parents = graph[name[0]]
    return any(one[0] in parents and (one in failing or blocked(graph, failing, one)) for one in ALL)


def ended(world: World, slots: Slots, past: Mapping[str, float]) -> Run:
    """Build everything; fails the test if the run does not end."""
    found: list[Run] = []
    world.records.write_run({"took": past})
    thread = threading.Thread(target=lambda: found.append(world.build(slots=slots)), daemon=True)
    thread.start()
    thread.join(WAIT)
    assert found, "the run hung"
    return found[0]


@settings(max_examples=25, deadline=None)
@given(
    graph=graphs(),
    failing=st.sets(st.sampled_from(ALL), max_size=2),
    deadly=st.sets(st.sampled_from(ALL), max_size=3),
    limits=st.lists(st.integers(1, 3), min_size=3, max_size=3),
    total=st.integers(0, 3),
)
def test_any_graph_on_any_nodes(
    graph: Graph, failing: set[str], deadly: set[str], limits: list[int], total: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World.of(Path(folder), graph)
        machines = Machines(world, failing, set(deadly))
        world.builder.during = machines.during
        bounds = dict(zip(NODES, limits, strict=True))
        found = states(ended(world, Slots(SHARED, bounds, total), {}))

        assert sorted(found) == sorted(ALL)
        assert all(machines.most[node] <= bounds[node] for node in NODES)
        assert not total or world.builder.most <= total
        assert set(machines.ended.values()) <= {1}
        assert {name for name, state in found.items() if state == "built"} == set(machines.ended)
        lost = {event.node for event in world.events if isinstance(event, NodeLost)}
        assert lost == {node.name for node in world.builder.dead}
        if all(set(nodes) - world.builder.dead for nodes in SHARED.values()):
            for name, state in found.items():
                waits = blocked(graph, failing, name)
                assert state == ("not tried" if waits else "failed" if name in failing else "built")
        tries = Counter(world.builder.built)
        assert all(tries[name] <= 1 + len(world.builder.dead) for name in ALL)


@settings(max_examples=25, deadline=None)
@given(
    graph=graphs(),
    failing=st.sets(st.sampled_from(ALL), max_size=2),
    past=st.dictionaries(st.sampled_from(ALL), st.integers(1, 9).map(float)),
)
def test_the_longest_of_the_ready_builds_starts_first(
    graph: Graph, failing: set[str], past: Mapping[str, float]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World.of(Path(folder), graph)
        world.builder.failures = {name: CheckError("no") for name in failing}
        ended(world, Slots(SHARED, dict.fromkeys(NODES, 1), 1), past)
        begun: list[str] = []
        for name in world.builder.built:  # one at a time: every earlier build has ended
            ready = [
                one
                for one in ALL
                if one not in begun
                and not blocked(graph, failing, one)
                and all(other in begun for other in ALL if other[0] in graph[one[0]])
            ]
            assert name in ready
            assert past.get(name, 0.0) == max(past.get(one, 0.0) for one in ready)
            begun.append(name)
