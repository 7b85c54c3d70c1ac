"""A failure does not stop builds that do not depend on it, and is reported with its log."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.commands.building.run import State
from dfgen.errors import CheckError, ExitCode, Place, Problem
from tests.unit.models import AMD64, ARM64, BOTH, a_test
from tests.unit.world import World, states


def test_images_that_depend_on_a_failure_are_skipped_and_the_others_are_built(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "b": ["a"], "c": ["b"], "x": [], "y": ["x"]})
    world.builder.failures["a:1@amd64"] = CheckError("bases/a/1/Dockerfile_amd64:2: the build failed: no")
    run = world.build()
    tried = {"a:1@amd64": "failed", "a:1@arm64": "built"}
    waiting = {f"{name}:1@{arch}": "not tried" for name in "bc" for arch in ("amd64", "arm64")}
    rest = {f"{name}:1@{arch}": "built" for name in "xy" for arch in ("amd64", "arm64")}
    assert states(run) == {**tried, **waiting, **rest}
    assert run.exit_code == ExitCode.CHECK_FAILED
    assert sorted(run.merged) == ["x:1", "y:1"]
    errors = {result.image.name: str(result.error) for result in run.results if result.error}
    assert errors["a:1@amd64"] == "bases/a/1/Dockerfile_amd64:2: the build failed: no"
    assert errors["c:1@arm64"] == "c:1@arm64: skipped, because a:1@amd64 failed"


def test_the_next_run_builds_only_missing_images(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "b": ["a"], "x": []})
    world.builder.failures["a:1@amd64"] = CheckError("no")
    world.build()
    world.builder.failures.clear()
    run = world.build()
    assert sorted(world.builder.built) == ["a:1@amd64", "b:1@amd64", "b:1@arm64"]
    assert run.exit_code == ExitCode.SUCCESS


def test_an_image_whose_smoke_test_fails_gets_no_tag_and_no_children(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "b": ["a"]}, [AMD64])
    world.change("a:1@amd64", tests=(a_test(),))
    world.builder.test_failures["a:1@amd64"] = "smoke test 'works' of a:1@amd64: exited with status 1"
    run = world.build()
    assert states(run) == {"a:1@amd64": "failed", "b:1@amd64": "not tried"}
    assert world.layout.entries() == {}
    assert world.reasons()["a:1@amd64"] == "not built yet"


def test_a_failure_in_a_dockerfile_is_reported_at_the_templates_line(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "b": []}, [AMD64])
    for name, line in (("a", 3), ("b", 1)):
        error = CheckError(Problem(Place(f"bases/{name}/1/Dockerfile_amd64", line), "RUN exited with 1: no"))
        error.excerpt = ("first",)
        world.builder.failures[f"{name}:1@amd64"] = error
    lines = (None, None, Place("templates/x.j2", 1))  # line 1 is dfgen's own header
    a, b = world.build(origins=lambda _image, _lock: lines).results
    assert str(a.error) == "templates/x.j2:1 (bases/a/1/Dockerfile_amd64:3): RUN exited with 1: no"
    assert str(b.error) == "bases/b/1/Dockerfile_amd64:1: RUN exited with 1: no"
    assert [one.error.excerpt for one in (a, b) if one.error] == [("first",)] * 2
    assert a.log == str(tmp_path / "dist" / "logs" / "a-1-amd64.log")


def test_a_version_that_cannot_be_merged_fails_with_its_children(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "b": ["a"]}, [AMD64])

    world.builder.configured["a:1@amd64"] = ARM64
    run = world.build()
    assert [str(error) for error in run.errors] == [
        "a:1: not merged: a:1-x86_64 is listed for linux/amd64, but its configuration says linux/arm64;"
        " rebuild it for its platform"
    ]
    assert states(run) == {"a:1@amd64": "built", "b:1@amd64": "not tried"}
    assert str(run.results[1].error) == "b:1@amd64: skipped, because the merge of a:1 failed"
    assert run.exit_code == ExitCode.CHECK_FAILED


def test_a_bug_in_dfgen_is_not_swallowed(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []}, [AMD64])

    def during(_: str) -> None:
        raise ZeroDivisionError

    world.builder.during = during
    with pytest.raises(ZeroDivisionError):
        world.build()


NAMES = "abcde"


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    """Draw families of which each is built on earlier ones, at most two, in a shuffled order."""
    graph = {
        name: draw(st.lists(st.sampled_from(NAMES[:at]), unique=True, max_size=2)) if at else []
        for at, name in enumerate(NAMES)
    }
    order = draw(st.permutations(NAMES))
    return {name: graph[name] for name in order}


def ancestors(graph: dict[str, list[str]], name: str) -> set[str]:
    return {one for parent in graph[name] for one in ({parent} | ancestors(graph, parent))}


@settings(max_examples=25, deadline=None)
@given(graph=graphs(), failing=st.sets(st.sampled_from(NAMES), max_size=2), jobs=st.integers(1, 3))
def test_any_graph_with_any_failures(graph: dict[str, list[str]], failing: set[str], jobs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World.of(Path(folder), graph, BOTH[:1])
        world.builder.failures = {f"{name}:1@amd64": CheckError("no") for name in failing}
        found = states(world.build(jobs=jobs))
        log = world.builder.log
        assert len(world.builder.built) == len(set(world.builder.built))
        for name, parents in graph.items():
            image = f"{name}:1@amd64"
            blocked = bool(ancestors(graph, name) & failing)
            expected = State.NOT_TRIED if blocked else State.FAILED if name in failing else State.BUILT
            assert found[image] == expected
            for parent in () if blocked else parents:
                assert log.index(f"-{parent}:1@amd64") < log.index(f"+{image}")
        world.builder.failures.clear()
        assert set(states(world.build(jobs=jobs)).values()) <= {State.BUILT, State.UP_TO_DATE}
        assert set(world.reasons().values()) == {"up to date"}
