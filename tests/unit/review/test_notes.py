"""What is told beside changes and risks: settings that no Dockerfile shows, what waits, what is not known."""

from __future__ import annotations

from dataclasses import replace
from shutil import rmtree

import pytest

from dfgen.catalog.lockfile import LOCK_FILE
from dfgen.cli.review.text import summary
from dfgen.commands.review import review
from dfgen.errors import Place, Problem
from tests.unit.review.states import state
from tests.unit.review.world import BASE, DEBIAN, TEMPLATE, World, locked, put, write

CATALOG, FAMILY = "bases/catalog.yaml", "bases/app/base.yaml"
TOOL = {
    "bases/tool/base.yaml": "template: tool.j2\nparent: app:1.0\nversions: ['1.0']\n",
    "templates/tool.j2": "FROM {{ parent }}\nADD https://example.org/a /a\n",
}
NOT_LOADED = "the state before cannot be loaded, so "


@pytest.mark.parametrize(
    ("file", "old", "new", "note"),
    [
        (
            CATALOG,
            "registry: a.example/x",
            "registry: b.example/x",
            "images are published to b.example/x, and were to a.example/x",
        ),
        (
            CATALOG,
            "provenance: false",
            "builders: {linux/arm64: {context: far}}",
            "bases/catalog.yaml: builders changed",
        ),
        (
            CATALOG,
            "provenance: false",
            "insecure_registries: [a.example]",
            "bases/catalog.yaml: insecure_registries changed",
        ),
        (
            FAMILY,
            "",
            "lint: {ignore: {pipefail: it has none}}",
            f"{FAMILY}: the rule pipefail is switched off: it has none",
        ),
        (CATALOG, "provenance: false", "sbom: packages", "bases/catalog.yaml: sbom changed"),
        (FAMILY, "", "architecture_independent: true", f"{FAMILY}: architecture_independent is true now"),
        (FAMILY, "", "tests: [{run: [id]}]", "other smoke tests: app:1.0"),
        (
            FAMILY,
            "",
            "foreign_programs: {/opt/cross/**: a cross compiler}",
            "programs for any architecture are allowed at /opt/cross/**: a cross compiler: app:1.0",
        ),
        (FAMILY, "", "immutable: true", "immutable from now on: app:1.0"),
        (FAMILY, "immutable: true", "", "no longer immutable: app:1.0"),
        (FAMILY, "", "end_of_life: '2027-01-01'", "end_of_life none → 2027-01-01: app:1.0"),
    ],
)
def test_a_setting_that_no_dockerfile_shows(world: World, file: str, old: str, new: str, note: str) -> None:
    start = BASE if file == FAMILY else ""
    world.make({file: f"{start}{old}\n"}, {file: f"{start}{new}\n"})
    found = world.review()
    assert (found.notes, found.radius.untouched) == ((note,), 2)


@pytest.mark.parametrize(
    ("base", "notes"),
    [
        (
            BASE,
            (
                "bases/web is bases/app renamed: its images get new names, and those of the old name are built"
                " no more",
            ),
        ),
        (f"{BASE}packages: [curl]\n", ()),
    ],
)
def test_a_family_that_is_renamed(world: World, base: str, notes: tuple[str, ...]) -> None:
    world.make({}, {"bases/web/base.yaml": base, "bases/web/files/app.conf": "a\n"})
    rmtree(world.now / "bases/app")
    assert world.review().notes == notes


def test_the_same_of_many_versions_is_told_once(world: World) -> None:
    base = BASE.replace('["1.0"]', '["1", "2", "3", "4", "5", "6", "7"]')
    world.make({FAMILY: base}, {FAMILY: f"{base}immutable: true\n"})
    assert world.review().notes == ("immutable from now on: app:1, app:2, app:3, app:4, app:5 and 2 more",)


@pytest.mark.parametrize("setting", ["provenance: true", f"sbom: 'a.example/s:1@sha256:{'a' * 64}'"])
def test_what_an_image_is_built_with_rebuilds_it(world: World, setting: str) -> None:
    world.make({}, {CATALOG: f"{setting}\n"})
    reason = f"{setting.partition(':')[0]} of the catalog"
    assert [one.reasons for one in world.review().radius.rebuilt] == [(reason,)] * 2


def test_a_new_family_whose_parent_is_not_built_yet_is_told(world: World) -> None:
    world.make({}, TOOL)
    found = world.review()
    assert found.notes == (
        "not rendered yet, so not reviewed: tool:1.0@amd64 and tool:1.0@arm64; app:1.0 is to be built first; run"
        " `dfgen build`, and commit what it renders",
    )
    assert [(one.image, one.reasons) for one in found.radius.rebuilt] == [
        ("tool:1.0@amd64", ("new image",)),
        ("tool:1.0@arm64", ("new image",)),
    ]


def test_an_image_whose_new_parent_is_not_built_yet_keeps_its_old_dockerfile(world: World) -> None:
    two = BASE.replace('["1.0"]', '["1.0", "2.0"]')
    parents = {DEBIAN: locked(), "app:1.0": locked("app:1.0")}
    write(world.was, TOOL, parents)
    tool = TOOL["bases/tool/base.yaml"].replace("app:1.0", "app:2.0")
    write(world.now, {**TOOL, FAMILY: two}, parents)
    put(world.now, {"bases/tool/base.yaml": tool})
    found = world.review()
    assert [note.partition(";")[0] for note in found.notes] == [
        "not rendered yet, so not reviewed: tool:1.0@amd64 and tool:1.0@arm64"
    ]
    assert ("parent app:1.0 → app:2.0", "rebuild of app:2.0@arm64") in [
        one.reasons for one in found.radius.rebuilt
    ]


def test_what_does_not_render_is_to_build_all_the_same(world: World) -> None:
    world.make({}, {})
    put(world.now, {"templates/t.j2": TEMPLATE + "RUN {{ nothing }}\n"})
    found = world.review()
    assert [one.reasons for one in found.radius.rebuilt] == [("template templates/t.j2",)] * 2
    assert found.notes == ()


def test_a_broken_state_is_not_said_to_touch_nothing(world: World) -> None:
    world.make({}, {})
    put(world.now, {FAMILY: "["})
    found = world.review()
    assert (found.radius.partial, found.radius.untouched) == (True, 0)
    assert summary(found).endswith("; what is to build is not known")


def test_what_is_known_in_spite_of_a_broken_lock_is_the_least(world: World) -> None:
    world.make({}, {"bases/app/files/app.conf": "b\n"})
    before, after = state(world.was), state(world.now)
    assert not review(before, after).radius.partial
    found = review(before, replace(after, problems=(Problem(Place(LOCK_FILE), "is not JSON"),)))
    assert summary(found).endswith("; 2 images to build at least")


def test_before_was_broken(world: World) -> None:
    world.make({}, {})
    put(world.was, {FAMILY: "["})
    found = world.review()
    assert found.notes[0].startswith(f"{NOT_LOADED}what is rebuilt is not known: {FAMILY}:")
    assert summary(found).endswith("; what is to build is not known")


def test_before_there_was_nothing(world: World) -> None:
    write(world.now, {}, {DEBIAN: locked()})
    put(world.was, {FAMILY: "[", LOCK_FILE: (world.now / LOCK_FILE).read_text()})
    found = world.review()
    assert found.notes[0].startswith(f"{NOT_LOADED}every image counts as new: {FAMILY}:")
    assert [one.reasons for one in found.radius.rebuilt] == [("new image",)] * 2
