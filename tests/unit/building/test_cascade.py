"""A parent in the catalog whose digest changes: its children are locked, rendered and built again."""

from __future__ import annotations

from pathlib import Path

from dfgen.commands.building.run import Rendered
from dfgen.errors import ExitCode
from tests.unit.models import AMD64, ARM64
from tests.unit.world import TODAY, World, states

THREE = {"a": [], "b": ["a"], "c": ["b"]}


def touch(world: World, name: str, content: str) -> None:
    """Change the Dockerfiles of an image and the content that their builds have."""
    for arch in ("amd64", "arm64"):
        path = world.root / "bases" / name / "1" / f"Dockerfile_{arch}"
        path.write_text(f"{path.read_text()}# {content}\n")
        world.builder.content[f"{name}:1@{arch}"] = content


def test_the_first_build_pins_and_renders_level_by_level(tmp_path: Path) -> None:
    world = World.of(tmp_path, THREE)
    assert world.reasons()["c:1@arm64"] == "parent rebuilt: b:1"
    run = world.build()
    assert run.rendered == tuple(
        f"bases/{name}/1/Dockerfile_{arch}" for name in "bc" for arch in ("amd64", "arm64")
    )
    entries = world.layout.entries()
    for name in "ab":
        locked = world.lock.parents[f"{name}:1"]
        assert locked.digest == entries[f"{name}:1"].digest == run.merged[f"{name}:1"]
        assert locked.platforms[AMD64].digest == entries[f"{name}:1-x86_64"].digest
        assert locked.platforms[ARM64].digest == entries[f"{name}:1-aarch64"].digest
        assert locked.first_seen == TODAY
    assert "c:1" not in world.lock.parents


def test_a_parent_that_moves_rebuilds_three_levels(tmp_path: Path) -> None:
    world = World.of(tmp_path, {**THREE, "x": []})
    first = world.build()
    touch(world, "a", "other")
    run = world.build()
    assert sorted(world.builder.built) == sorted(f"{n}:1@{a}" for n in "abc" for a in ("amd64", "arm64"))
    whys = {result.image.name: result.step.why for result in run.results}
    assert whys["a:1@amd64"] == "inputs changed: Dockerfile"
    assert whys["b:1@amd64"] == "parent rebuilt: a:1"
    assert whys["c:1@amd64"] == "parent rebuilt: b:1"
    assert whys["x:1@amd64"] == "up to date"
    assert all(run.merged[f"{name}:1"] != first.merged[f"{name}:1"] for name in "abc")
    assert set(world.reasons().values()) == {"up to date"}


def test_rewritten_dockerfiles_are_reported(tmp_path: Path) -> None:
    world = World.of(tmp_path, THREE)
    world.build()
    touch(world, "b", "other")
    world.events.clear()
    run = world.build()
    assert run.rendered == ("bases/c/1/Dockerfile_amd64", "bases/c/1/Dockerfile_arm64")
    assert [event.path for event in world.events if isinstance(event, Rendered)] == list(run.rendered)


def test_a_parent_with_the_same_digest_after_a_rebuild_moves_nothing(tmp_path: Path) -> None:
    world = World.of(tmp_path, THREE)
    first = world.build()
    lock = world.lock
    path = tmp_path / "bases" / "a" / "1" / "Dockerfile_amd64"
    path.write_text(f"{path.read_text()}# only a comment\n")
    assert world.reasons()["c:1@amd64"] == "parent rebuilt: b:1"
    run = world.build()
    assert world.builder.built == ["a:1@amd64"]
    assert (run.rendered, run.merged, world.lock) == ((), first.merged, lock)
    assert states(run)["c:1@amd64"] == "up to date"


def test_children_that_are_not_selected_are_rendered_but_not_built(tmp_path: Path) -> None:
    world = World.of(tmp_path, THREE)
    world.build()
    touch(world, "a", "other")
    run = world.build("a:1@amd64", "a:1@arm64")
    assert run.rendered == ("bases/b/1/Dockerfile_amd64", "bases/b/1/Dockerfile_arm64")
    assert sorted(world.builder.built) == ["a:1@amd64", "a:1@arm64"]
    assert world.reasons()["b:1@amd64"] == "pin moved: a:1"


def test_a_selected_child_builds_its_parents_for_all_platforms(tmp_path: Path) -> None:
    world = World.of(tmp_path, THREE)
    world.build("b:1@arm64")
    assert sorted(world.builder.built) == ["a:1@amd64", "a:1@arm64", "b:1@arm64"]


def test_locked_refuses_a_child_whose_parent_moved(tmp_path: Path) -> None:
    world = World.of(tmp_path, THREE)
    world.build()
    lock = world.lock
    old = lock.parents["a:1"].platforms[AMD64].digest
    touch(world, "a", "other")
    run = world.build(locked=True)
    new = world.layout.entries()["a:1-x86_64"].digest
    found = {result.image.name: result for result in run.results}
    assert str(found["b:1@amd64"].error) == (
        f"bases/base.yaml:2: b:1@amd64: the digest of parent a:1 changed: locked {old}, built {new};"
        " run `dfgen build` without --locked, and commit bases/lock.json and the Dockerfiles"
    )
    assert states(run)["a:1@amd64"] == "built"
    assert states(run)["c:1@amd64"] == "not tried"
    assert (run.rendered, world.lock) == ((), lock)
    assert run.exit_code == ExitCode.CHECK_FAILED


def test_locked_names_the_moved_platform_if_it_is_not_the_childs_own(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "b": ["a"]})
    world.build()
    old = world.lock.parents["a:1"].platforms[AMD64].digest
    world.builder.content["a:1@amd64"] = "other"
    (world.root / "bases/a/1/Dockerfile_amd64").write_text("FROM other\n")
    run = world.build(locked=True)
    new = world.layout.entries()["a:1-x86_64"].digest
    found = {result.image.name: str(result.error) for result in run.results}
    why = f"locked {old}, built {new}; run `dfgen build` without --locked, and commit"
    assert found["b:1@amd64"] == (
        f"bases/base.yaml:2: b:1@amd64: the digest of parent a:1 changed: {why} bases/lock.json and the Dockerfiles"
    )
    assert found["b:1@arm64"] == (
        f"bases/base.yaml:2: b:1@arm64: the digest of parent a:1 changed on linux/amd64: {why} bases/lock.json and the"
        " Dockerfiles"
    )


def test_locked_refuses_the_first_pin_of_a_family(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "b": ["a"]}, [AMD64])
    run = world.build(locked=True)
    digest = world.layout.entries()["a:1-x86_64"].digest
    assert str(run.results[1].error) == (
        f"bases/base.yaml:2: b:1@amd64: the digest of parent a:1 changed: not locked, built {digest};"
        " run `dfgen build` without --locked, and commit bases/lock.json and the Dockerfiles"
    )


def test_locked_refuses_even_if_no_child_is_selected(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "b": ["a"]}, [AMD64])
    run = world.build("a:1@amd64", locked=True)
    assert states(run) == {"a:1@amd64": "built"}
    assert [str(error).partition(" changed")[0] for error in run.errors] == [
        "bases/base.yaml:2: b:1@amd64: the digest of parent a:1"
    ]
    assert run.exit_code == ExitCode.CHECK_FAILED


def test_locked_builds_if_the_digests_match_the_lock(tmp_path: Path) -> None:
    world = World.of(tmp_path, THREE)
    first = world.build()
    for path in sorted((tmp_path / "dist").glob("index.json")):
        path.unlink()
    run = world.build(locked=True)
    assert set(states(run).values()) == {"built"}
    assert run.merged == first.merged
    assert run.exit_code == ExitCode.SUCCESS


def test_a_family_that_gets_another_platform_keeps_its_pins(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "b": ["a"]}, [AMD64])
    world.build()
    pin = world.lock.parents["a:1"].platforms[AMD64]
    both = World.of(tmp_path, {"a": [], "b": ["a"]})
    both.lock = world.lock
    both.render()
    run = both.build()
    assert both.lock.parents["a:1"].platforms[AMD64] == pin
    assert set(both.lock.parents["a:1"].platforms) == {AMD64, ARM64}
    assert states(run) == {
        "a:1@amd64": "up to date",
        "a:1@arm64": "built",
        "b:1@amd64": "up to date",
        "b:1@arm64": "built",
    }
