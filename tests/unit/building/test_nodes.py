"""Which nodes build, what happens when one is lost, and which failures are retried."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dfgen.catalog.model import Builder
from dfgen.commands.building.run import NodeLost, Retrying
from dfgen.engine.nodes import Slots
from dfgen.errors import CheckError, ExternalError
from tests.unit.models import AMD64, ARM64, a_test
from tests.unit.world import World, states

WAIT = 20.0  # seconds after which a test that waits for another thread fails
ONE, TWO = Builder(context="one"), Builder(builder="two")
GONE = "bases/a/1/Dockerfile_amd64: the build was aborted: error reading from server: EOF"


def used(world: World) -> dict[str, str]:
    return {name: request.node.name for name, request in world.builder.requests.items()}


def both(one: int = 1, two: int = 1, total: int = 0) -> Slots:
    return Slots({AMD64: (ONE, TWO)}, {ONE: one, TWO: two}, total)


def test_the_least_busy_node_gets_a_build_up_to_its_limit() -> None:
    slots = both(one=1, two=3)
    assert slots.capacity == 4
    assert [slots.acquire(AMD64) for _ in range(5)] == [ONE, TWO, TWO, TWO, None]
    slots.release(ONE)
    assert slots.acquire(AMD64) == ONE
    assert slots.acquire(ARM64) is None


def test_the_total_limits_all_nodes_together() -> None:
    slots = both(one=2, two=2, total=3)
    assert slots.capacity == 3
    assert [slots.acquire(AMD64) for _ in range(4)] == [ONE, TWO, ONE, None]


def test_a_lost_node_is_removed_from_all_its_platforms() -> None:
    slots = Slots({AMD64: (ONE, TWO), ARM64: (ONE,)}, {ONE: 1, TWO: 1})
    assert [slots.remove(ONE), slots.remove(ONE)] == [True, False]
    assert [slots.acquire(AMD64), slots.acquire(ARM64)] == [TWO, None]
    assert list(slots.nodes(ARM64)) == []


def test_nodes_share_the_images_of_a_platform(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "b": []}, [AMD64])
    together = threading.Barrier(2, timeout=WAIT)
    world.builder.during = lambda _: together.wait() and None
    run = world.build(slots=both())
    assert sorted(used(world).values()) == ["one", "two"]
    assert {one.image.name: one.node for one in run.results} == used(world)


def test_an_image_is_tested_where_it_was_built(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []}, [AMD64])
    world.change("a:1@amd64", tests=(a_test(),))
    world.build(slots=Slots({AMD64: (TWO,)}, {TWO: 1}))
    assert world.builder.tested_on == {"a:1@amd64": "two"}


def test_builds_of_a_lost_node_move_to_another_node(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "b": []}, [AMD64])

    def during(name: str) -> None:
        if world.builder.requests[name].node == ONE:
            world.builder.dead.add(ONE)
            raise ExternalError(GONE)

    world.builder.during = during
    run = world.build(slots=both())
    assert set(states(run).values()) == {"built"}
    assert set(used(world).values()) == {"two"}
    assert [event.node for event in world.events if isinstance(event, NodeLost)] == ["one"]
    assert world.builder.log.count("+a:1@amd64") == 2
    assert run.exit_code == 0


def test_if_all_nodes_are_lost_the_error_names_them_with_the_causes(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "b": ["a"]}, [AMD64])

    def during(name: str) -> None:
        world.builder.dead.add(world.builder.requests[name].node)
        raise ExternalError(GONE)

    world.builder.during = during
    run = world.build(slots=both())
    assert states(run) == {"a:1@amd64": "failed", "b:1@amd64": "not tried"}
    assert str(run.results[0].error) == (
        f"a:1@amd64: no node is left to build linux/amd64; lost: one ({GONE}), two ({GONE})"
    )
    assert run.exit_code == 3


def test_a_failing_dockerfile_does_not_move_to_another_node(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []}, [AMD64])
    world.builder.dead.update((ONE, TWO))
    world.builder.failures["a:1@amd64"] = CheckError("no")
    run = world.build(slots=both())
    assert states(run) == {"a:1@amd64": "failed"}
    assert world.builder.built == ["a:1@amd64"]


@pytest.mark.parametrize(("transient", "attempts", "pauses"), [(True, 3, [2.0, 4.0]), (False, 1, [])])
def test_transient_errors_are_retried_with_growing_pauses(
    tmp_path: Path, transient: bool, attempts: int, pauses: list[float]
) -> None:
    world = World.of(tmp_path, {"a": []}, [AMD64])
    error = ExternalError("the registry is busy")
    error.is_transient = transient
    world.builder.failures["a:1@amd64"] = error
    run = world.build()
    assert run.results[0].error is error
    assert world.builder.built == ["a:1@amd64"] * attempts
    assert world.pauses == pauses
    assert [event.why for event in world.events if isinstance(event, Retrying)] == [
        "the registry is busy"
    ] * (attempts - 1)


def test_a_retry_that_succeeds_is_a_success(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []}, [AMD64])
    error = ExternalError("the registry is busy")
    error.is_transient = True

    def during(name: str) -> None:
        if world.builder.built.count(name) == 1:
            raise error

    world.builder.during = during
    assert states(world.build()) == {"a:1@amd64": "built"}
