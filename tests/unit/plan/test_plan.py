"""The reason of each image in a plan, and their order."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.catalog.lockfile import Lock
from dfgen.commands.plan import with_parents
from dfgen.errors import InputError
from dfgen.oci.images import child_of
from dfgen.oci.manifest import Index
from tests.unit.models import AMD64, ARM64, catalog, images
from tests.unit.world import World

COPY = "FROM x\nCOPY files/ /x/\n"


def dockerfile(world: World, text: str, name: str = "a") -> None:
    (world.root / "bases" / name / "1" / "Dockerfile_amd64").write_text(text)


def context_file(world: World, path: str, text: str) -> Path:
    target = world.root / "bases" / "a" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    return target


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world with one image, built from a Dockerfile and two files."""
    found = World.of(tmp_path, {"a": []}, [AMD64])
    dockerfile(found, COPY)
    context_file(found, "files/one", "1")
    context_file(found, "files/two", "2")
    context_file(found, "unused", "0")
    found.build()
    assert found.reasons() == {"a:1@amd64": "up to date"}
    return found


def test_an_image_that_is_not_in_the_layout_is_not_built_yet(tmp_path: Path) -> None:
    assert World.of(tmp_path, {"a": []}).reasons() == dict.fromkeys(
        ("a:1@amd64", "a:1@arm64"), "not built yet"
    )


def test_a_dockerfile_that_changed_is_named(world: World) -> None:
    dockerfile(world, f"{COPY}RUN true\n")
    assert world.reasons() == {"a:1@amd64": "inputs changed: Dockerfile"}


def test_a_context_file_that_changed_is_named(world: World) -> None:
    context_file(world, "files/two", "other")
    assert world.reasons() == {"a:1@amd64": "context file changed: files/two"}


def test_a_mode_that_changed_is_named(world: World) -> None:
    context_file(world, "files/two", "2").chmod(0o755)
    (world.root / "bases/a/files").chmod(0o700)
    changed = "files (mode 755, now 700) and files/two (mode 644, now 755)"
    assert world.reasons() == {"a:1@amd64": f"context file changed: {changed}"}


def test_added_and_removed_files_are_named(world: World) -> None:
    context_file(world, "files/three", "3")
    (world.root / "bases/a/files/one").unlink()
    assert world.reasons() == {
        "a:1@amd64": "context file changed: files/one (removed) and files/three (added)"
    }


def test_a_file_name_is_printed_in_one_line(world: World) -> None:
    context_file(world, "files/one (2)", "")
    context_file(world, "files/a\nb", "")
    changed = r"files/a\nb (added) and files/one (2) (added)"
    assert world.reasons() == {"a:1@amd64": f"context file changed: {changed}"}
    world.build()
    context_file(world, "files/one (2)", "other")
    assert world.reasons() == {"a:1@amd64": "context file changed: files/one (2)"}


def test_of_many_changed_files_three_are_named(world: World) -> None:
    for at in range(5):
        context_file(world, f"files/{at}", "")
    added = "files/0 (added), files/1 (added), files/2 (added) and 2 more"
    assert world.reasons() == {"a:1@amd64": f"context file changed: {added}"}


def test_mtimes_and_unused_files_do_not_count(world: World) -> None:
    context_file(world, "unused", "other")
    os.utime(world.root / "bases/a/files/one", (1, 1))
    assert world.reasons() == {"a:1@amd64": "up to date"}


def test_without_a_record_of_inputs_no_change_is_named(world: World) -> None:
    for path in (world.root / "dist" / "inputs").iterdir():
        path.write_text("{}")
    dockerfile(world, "FROM y\n")
    assert world.reasons() == {"a:1@amd64": "inputs changed"}


def test_a_pin_that_moved_is_named(world: World) -> None:
    locked = world.lock.parents["docker.io/library/busybox:1"]
    pins = {**locked.platforms, AMD64: locked.platforms[ARM64]}
    world.lock = Lock({"docker.io/library/busybox:1": replace(locked, platforms=pins)})
    assert world.reasons() == {"a:1@amd64": "inputs changed: org.opencontainers.image.base.digest"}


def test_children_of_rebuilt_images_are_rebuilt(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"c": ["b"], "b": ["a"], "a": [], "x": []}, [AMD64])
    world.build()
    dockerfile(world, "FROM y\n")
    assert world.reasons() == {
        "a:1@amd64": "inputs changed: Dockerfile",
        "b:1@amd64": "parent rebuilt: a:1",
        "c:1@amd64": "parent rebuilt: b:1",
        "x:1@amd64": "up to date",
    }


def test_a_child_keeps_its_own_reason(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"b": ["a"], "a": []}, [AMD64])
    world.build()
    dockerfile(world, "FROM y\n")
    dockerfile(world, "FROM z\n", "b")
    assert world.reasons()["b:1@amd64"] == "inputs changed: Dockerfile"


def test_parents_come_before_their_children(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"c": ["b"], "b": ["a"], "a": []}, [AMD64])
    assert [step.image.name for step in world.plan().steps] == ["a:1@amd64", "b:1@amd64", "c:1@amd64"]


def test_a_selection_includes_its_parents_and_nothing_else(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"c": ["b"], "b": ["a"], "a": [], "x": []}, [AMD64])
    assert [step.image.name for step in world.plan("b:1@amd64").steps] == ["a:1@amd64", "b:1@amd64"]


def test_missing_dockerfiles_are_reported_together(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []})
    for arch in ("amd64", "arm64"):
        (tmp_path / "bases" / "a" / "1" / f"Dockerfile_{arch}").unlink()
    with pytest.raises(InputError) as caught:
        world.plan()
    assert str(caught.value).splitlines() == [
        "bases/a/1/Dockerfile_amd64: does not exist; run `dfgen render`",
        "bases/a/1/Dockerfile_arm64: does not exist; run `dfgen render`",
    ]


def test_a_parent_without_a_pin_is_an_error_with_its_place(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": []}, [AMD64])
    world.lock = Lock()
    with pytest.raises(InputError) as caught:
        world.plan()
    pin = "parent docker.io/library/busybox:1 has no pin for linux/amd64; run `dfgen lock`"
    assert str(caught.value) == f"bases/base.yaml:2: {pin}"


NAMES = "abcdef"


@given(
    edges=st.lists(st.lists(st.integers(0, 4), max_size=3), min_size=6, max_size=6),
    wanted=st.sets(st.sampled_from(NAMES)),
    order=st.permutations(NAMES),
)
def test_a_selection_of_any_graph_includes_exactly_its_parents(
    edges: list[list[int]], wanted: set[str], order: list[str]
) -> None:
    graph = {name: sorted({NAMES[one] for one in edges[at] if one < at}) for at, name in enumerate(NAMES)}
    found = catalog(Path(), images({name: graph[name] for name in order}))
    needed: set[str] = set()
    todo = list(wanted)
    while todo:
        name = todo.pop()
        needed.add(name)
        todo.extend(graph[name])
    chosen = with_parents([one for one in found.images if one.family.name in wanted], found)
    assert sorted(one.name for one in chosen) == sorted(
        one.name for one in found.images if one.family.name in needed
    )


@pytest.mark.parametrize("crossed", ["digest and size", "everything"])
def test_images_that_are_crossed_in_the_layout_are_built_again(tmp_path: Path, crossed: str) -> None:
    world = World.of(tmp_path, {"a": []}, [AMD64, ARM64])
    world.build()
    entries = world.layout.entries()
    names = ("a:1-x86_64", "a:1-aarch64")
    one, other = (entries[name] for name in names)
    if crossed == "digest and size":  # and each entry keeps what it says of the image
        one, other = (
            replace(one, digest=other.digest, size=other.size),
            replace(other, digest=one.digest, size=one.size),
        )
    else:
        one, other = other, one
    world.layout.tag(dict(zip(names, (one, other), strict=True)))
    reasons = world.reasons()
    assert "up to date" not in reasons.values()
    if crossed == "digest and size":
        assert reasons == dict.fromkeys(("a:1@amd64", "a:1@arm64"), "another image in the layout")
    world.build()
    assert world.reasons() == dict.fromkeys(("a:1@amd64", "a:1@arm64"), "up to date")
    index = world.layout.manifest(world.layout.entries()["a:1"])
    assert isinstance(index, Index)
    assert {child.digest for child in index.images} == {entries[name].digest for name in names}
    found = [child_of("a", child, world.layout.manifest(child), world.layout) for child in index.images]  # type: ignore[arg-type]
    assert [child.config_platform for child in found] == [child.platform for child in index.images]
