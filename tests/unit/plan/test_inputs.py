"""The reason of an image whose inputs changed: the template, the variable, the pin or the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dfgen.catalog.lockfile import Lock
from dfgen.commands.plan.inputs import TESTS, digest_of_tests
from dfgen.commands.plan.records import Records
from dfgen.oci.digest import Digest
from tests.unit.models import AMD64, ARM64, UPSTREAM, a_test, catalog, image, images
from tests.unit.world import World

NAME = "a:1@amd64"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world with one built image, and a record of what its Dockerfile was rendered from."""
    found = World.of(tmp_path, {"a": []}, [AMD64])
    write_template(found, "t.j2", "{% include 'packages.j2' %}FROM {{ parent }}")
    write_template(found, "packages.j2", "apt-get")
    found.change(NAME, variables={"zone": "UTC", "java": 17})
    (tmp_path / "bases/a/files").mkdir()
    (tmp_path / "bases/a/files/one").write_text("1")
    render(found, "FROM x\nCOPY files/ /x/\n")
    found.build()
    assert found.reasons() == {NAME: "up to date"}
    return found


def render(world: World, text: str) -> None:
    (world.root / "bases/a/1/Dockerfile_amd64").write_text(text)


def write_template(world: World, name: str, text: str) -> None:
    path = world.root / "templates" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def template(world: World) -> None:
    write_template(world, "packages.j2", "RUN true")
    render(world, "FROM x\nCOPY files/ /x/\nRUN true\n")


def variable(world: World) -> None:
    world.change(NAME, variables={"zone": "CET", "java": 17})
    render(world, "FROM x\nCOPY files/ /x/\nENV TZ=CET\n")


def packages(world: World) -> None:
    world.change(NAME, packages=("curl",))
    render(world, "FROM x\nCOPY files/ /x/\nRUN apt-get install curl\n")


def pin(world: World) -> None:
    locked = world.lock.parents[UPSTREAM]
    pins = {**locked.platforms, AMD64: locked.platforms[ARM64]}
    world.lock = Lock({UPSTREAM: replace(locked, platforms=pins)})
    render(world, "FROM y\nCOPY files/ /x/\n")


def file(world: World) -> None:
    (world.root / "bases/a/files/one").write_text("2")


def both(world: World) -> None:
    variable(world)
    file(world)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (template, "template changed: packages.j2"),
        (variable, "variable changed: zone"),
        (packages, "variable changed: packages"),
        (pin, f"pin moved: {UPSTREAM}"),
        (file, "context file changed: files/one"),
        (both, "inputs changed: variable zone and files/one"),
    ],
)
def test_a_change_is_named_by_its_kind(world: World, change: Callable[[World], None], reason: str) -> None:
    change(world)
    assert world.reasons() == {NAME: reason}
    world.build()
    assert world.reasons() == {NAME: "up to date"}


def test_a_template_change_that_changes_no_dockerfile_is_no_reason(world: World) -> None:
    write_template(world, "t.j2", "{# a comment #}{% include 'packages.j2' %}FROM {{ parent }}")
    assert world.reasons() == {NAME: "up to date"}
    file(world)
    assert world.reasons() == {NAME: "context file changed: files/one"}


def test_without_a_record_of_causes_the_dockerfile_itself_is_named(world: World) -> None:
    for path in (world.root / "dist" / "inputs").glob("*.causes.json"):
        path.write_text("[1")
    template(world)
    assert world.reasons() == {NAME: "inputs changed: Dockerfile"}


def test_a_new_platform_of_a_built_version_is_added(world: World) -> None:
    marks = world.layout.entries()["a:1-x86_64"].annotations
    assert TESTS in marks
    world.catalog = catalog(world.root, (*world.catalog.images, *images({"a": []}, [ARM64])))
    world.rerender(world.catalog.images[1], world.lock)
    assert world.reasons() == {NAME: "up to date", "a:1@arm64": "platform added"}


def test_a_record_of_causes_is_read_as_written(tmp_path: Path) -> None:
    records = Records(tmp_path)
    digest = Digest.of(b"inputs")
    assert records.causes(digest) == {}
    records.keep_causes(digest, {"template t.j2": "1", "pin x": "2"})
    assert records.causes(digest) == {"pin x": "2", "template t.j2": "1"}


def test_tests_of_the_first_release_keep_their_hash() -> None:
    tests = (a_test(expect="x", healthy=3),)
    assert str(digest_of_tests(image("a", tests=tests))) == (
        "sha256:9768e6d453aa22409a6551d71c5b93095cdd806aac558d489ebd672b4e802440"
    )


def test_every_setting_of_a_test_is_part_of_its_hash() -> None:
    changed = ({"args": ()}, {"args": ("x",)}, {"starts": 1}, {"ports": (80,)}, {"logs": "x"}, {"exit": 1})
    found = {digest_of_tests(image("a", tests=(a_test(**one),))) for one in ({}, *changed)}
    assert len(found) == len(changed) + 1
