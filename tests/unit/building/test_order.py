"""The order of builds, and how many run at once."""

from __future__ import annotations

import threading
from pathlib import Path

from dfgen.commands.building.run import Finished, Merged, Started
from dfgen.errors import CheckError
from tests.unit.models import AMD64
from tests.unit.world import World, states

WAIT = 20.0  # seconds after which a test that waits for another thread fails


def test_every_image_is_built_once_and_after_all_platforms_of_its_parents(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"c": ["b"], "b": ["a"], "a": []})
    run = world.build(jobs=4)
    assert set(states(run).values()) == {"built"}
    assert sorted(world.builder.built) == sorted(one.name for one in world.catalog.images)
    for child, parent in (("c", "b"), ("b", "a")):
        ends = [world.builder.log.index(f"-{parent}:1@{arch}") for arch in ("amd64", "arm64")]
        begins = [world.builder.log.index(f"+{child}:1@{arch}") for arch in ("amd64", "arm64")]
        assert max(ends) < min(begins)


def test_a_child_starts_when_its_parent_is_done_not_when_the_wave_is(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"slow": [], "parent": [], "child": ["parent"]}, [AMD64])
    child_started = threading.Event()

    def during(name: str) -> None:
        if name == "child:1@amd64":
            child_started.set()
        if name == "slow:1@amd64":
            assert child_started.wait(WAIT), "the child waited for an image that is not its parent"

    world.builder.during = during
    assert set(states(world.build(jobs=2)).values()) == {"built"}


def test_builds_run_concurrently_up_to_the_limit(tmp_path: Path) -> None:
    world = World.of(tmp_path, {name: [] for name in "abcdef"}, [AMD64])
    together = threading.Barrier(3, timeout=WAIT)
    world.builder.during = lambda _: together.wait() and None
    world.build(jobs=3)
    assert world.builder.most == 3


def test_a_limit_of_one_keeps_the_order_of_the_plan(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"c": ["b"], "b": [], "a": []}, [AMD64])
    world.build(jobs=1)
    assert world.builder.built == ["b:1@amd64", "a:1@amd64", "c:1@amd64"]


def test_the_image_that_took_longest_before_starts_first(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "b": [], "c": []}, [AMD64])
    world.records.write_run({"took": {"c:1@amd64": 9.0, "b:1@amd64": 2.0}})
    world.build(jobs=1)
    assert world.builder.built == ["c:1@amd64", "b:1@amd64", "a:1@amd64"]


def test_build_times_are_kept_for_the_next_run(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "b": []}, [AMD64])
    world.build("a:1@amd64")
    world.build("b:1@amd64")
    assert sorted(world.records.past_seconds()) == ["a:1@amd64", "b:1@amd64"]


def test_each_image_and_each_version_has_events(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []}, [AMD64])
    run = world.build()
    kinds = [type(event).__name__ for event in world.events]
    assert kinds == ["Started", "Progressed", "Finished", "Merged"]
    started, _, finished, merged = world.events
    assert isinstance(started, Started)
    assert started.step.why == "not built yet"
    assert isinstance(finished, Finished)
    assert finished.result == run.results[0]
    assert isinstance(merged, Merged)
    assert (merged.version, merged.digest) == ("a:1", run.merged["a:1"])


def test_an_image_of_two_parents_waits_for_both(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"child": ["a", "b"], "a": [], "b": []}, [AMD64])
    world.build(jobs=4)
    begun = world.builder.log.index("+child:1@amd64")
    assert begun > world.builder.log.index("-a:1@amd64")
    assert begun > world.builder.log.index("-b:1@amd64")
    request = world.builder.requests["child:1@amd64"]
    pins = {key: world.lock.parents[f"{key}:1"].platforms[AMD64].digest for key in "ab"}
    assert request.contexts == {f"localhost/{key}:1@{pin}": pin for key, pin in pins.items()}


def test_a_failure_frees_its_node_and_skips_its_children(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"slow": [], "parent": [], "child": ["parent"], "x": []}, [AMD64])
    x_started = threading.Event()

    def during(name: str) -> None:
        if name == "x:1@amd64":
            x_started.set()
        if name == "slow:1@amd64":
            assert x_started.wait(WAIT), "a free node stayed idle"

    world.builder.during = during
    world.builder.failures["parent:1@amd64"] = CheckError("no")
    found = states(world.build(jobs=2))
    assert (found["slow:1@amd64"], found["x:1@amd64"], found["child:1@amd64"]) == (
        "built",
        "built",
        "not tried",
    )
