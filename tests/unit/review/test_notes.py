"""Notes of a review: settings that no Dockerfile shows, unrendered images, and what is unknown."""

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
NOT_LOADED = "the old state cannot be loaded, so "


@pytest.mark.parametrize(
    ("file", "old", "new", "note"),
    [
        (
            CATALOG,
            "registry: a.example/x",
            "registry: b.example/x",
            "images will be published to b.example/x instead of a.example/x",
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
            f"{FAMILY}: disables the lint rule pipefail: it has none",
        ),
        (CATALOG, "provenance: false", "sbom: packages", "bases/catalog.yaml: sbom changed"),
        (FAMILY, "", "architecture_independent: true", f"{FAMILY}: architecture_independent is now true"),
        (FAMILY, "", "tests: [{run: [id]}]", "smoke tests changed: app:1.0"),
        (
            FAMILY,
            "",
            "foreign_programs: {/opt/cross/**: a cross compiler}",
            "programs for any architecture are allowed at /opt/cross/**: a cross compiler: app:1.0",
        ),
        (FAMILY, "", "immutable: true", "now immutable: app:1.0"),
        (FAMILY, "immutable: true", "", "no longer immutable: app:1.0"),
        (FAMILY, "", "end_of_life: '2027-01-01'", "end_of_life none → 2027-01-01: app:1.0"),
    ],
)
def test_setting_that_no_dockerfile_shows(world: World, file: str, old: str, new: str, note: str) -> None:
    start = BASE if file == FAMILY else ""
    world.make({file: f"{start}{old}\n"}, {file: f"{start}{new}\n"})
    found = world.review()
    assert (found.notes, found.impact.untouched) == ((note,), 2)


@pytest.mark.parametrize(
    ("base", "notes"),
    [
        (
            BASE,
            (
                "bases/app was renamed to bases/web: its images get new names, and the old names are no longer"
                " built",
            ),
        ),
        (f"{BASE}packages: [curl]\n", ()),
    ],
)
def test_renamed_family(world: World, base: str, notes: tuple[str, ...]) -> None:
    world.make({}, {"bases/web/base.yaml": base, "bases/web/files/app.conf": "a\n"})
    rmtree(world.now / "bases/app")
    assert world.review().notes == notes


def test_change_of_many_versions_is_noted_once(world: World) -> None:
    base = BASE.replace('["1.0"]', '["1", "2", "3", "4", "5", "6", "7"]')
    world.make({FAMILY: base}, {FAMILY: f"{base}immutable: true\n"})
    assert world.review().notes == ("now immutable: app:1, app:2, app:3, app:4, app:5 and 2 more",)


@pytest.mark.parametrize("setting", ["provenance: true", f"sbom: 'a.example/s:1@sha256:{'a' * 64}'"])
def test_build_setting_is_a_reason(world: World, setting: str) -> None:
    world.make({}, {CATALOG: f"{setting}\n"})
    reason = f"catalog setting {setting.partition(':')[0]}"
    assert [one.reasons for one in world.review().impact.rebuilt] == [(reason,)] * 2


def test_new_family_with_an_unbuilt_parent_is_noted(world: World) -> None:
    world.make({}, TOOL)
    found = world.review()
    assert found.notes == (
        "not rendered yet, so checked but not shown: tool:1.0@amd64 and tool:1.0@arm64; build app:1.0 first: run"
        " `dfgen build` and commit the Dockerfiles that it renders",
    )
    assert [(one.image, one.reasons) for one in found.impact.rebuilt] == [
        ("tool:1.0@amd64", ("new image",)),
        ("tool:1.0@arm64", ("new image",)),
    ]


def test_image_with_an_unbuilt_new_parent_keeps_its_dockerfile(world: World) -> None:
    two = BASE.replace('["1.0"]', '["1.0", "2.0"]')
    parents = {DEBIAN: locked(), "app:1.0": locked("app:1.0")}
    write(world.was, TOOL, parents)
    tool = TOOL["bases/tool/base.yaml"].replace("app:1.0", "app:2.0")
    write(world.now, {**TOOL, FAMILY: two}, parents)
    put(world.now, {"bases/tool/base.yaml": tool})
    found = world.review()
    assert [note.partition(";")[0] for note in found.notes] == [
        "not rendered yet, so checked but not shown: tool:1.0@amd64 and tool:1.0@arm64"
    ]
    assert ("parent app:1.0 → app:2.0", "rebuild of app:2.0@arm64") in [
        one.reasons for one in found.impact.rebuilt
    ]


def test_image_that_does_not_render_is_built(world: World) -> None:
    world.make({}, {})
    put(world.now, {"templates/t.j2": TEMPLATE + "RUN {{ nothing }}\n"})
    found = world.review()
    assert [one.reasons for one in found.impact.rebuilt] == [("template templates/t.j2",)] * 2
    assert found.notes == ()


def test_impact_of_an_invalid_state_is_unknown(world: World) -> None:
    world.make({}, {})
    put(world.now, {FAMILY: "["})
    found = world.review()
    assert (found.impact.partial, found.impact.untouched) == (True, 0)
    assert summary(found).endswith("; images to build unknown")


def test_impact_with_an_invalid_lock_is_a_minimum(world: World) -> None:
    world.make({}, {"bases/app/files/app.conf": "b\n"})
    before, after = state(world.was), state(world.now)
    assert not review(before, after).impact.partial
    found = review(before, replace(after, problems=(Problem(Place(LOCK_FILE), "is not JSON"),)))
    assert summary(found).endswith("; at least 2 images to build")


def test_invalid_old_catalog(world: World) -> None:
    world.make({}, {})
    put(world.was, {FAMILY: "["})
    found = world.review()
    assert found.notes[0].startswith(f"{NOT_LOADED}the images to rebuild are unknown: {FAMILY}:")
    assert summary(found).endswith("; images to build unknown")


def test_invalid_old_catalog_without_dockerfiles(world: World) -> None:
    write(world.now, {}, {DEBIAN: locked()})
    put(world.was, {FAMILY: "[", LOCK_FILE: (world.now / LOCK_FILE).read_text()})
    found = world.review()
    assert found.notes[0].startswith(f"{NOT_LOADED}every image counts as new: {FAMILY}:")
    assert [one.reasons for one in found.impact.rebuilt] == [("new image",)] * 2


def test_missing_sources_are_noted(world: World) -> None:
    world.make({}, {}, locked(), locked(build="2"))
    assert world.review(templates=None).notes == (
        "nothing was rendered, so stale Dockerfiles are not reported",
        "no registry was contacted, so changes inside the parents and the platforms of new pins are unknown; use"
        " --online",
        "no registry was contacted, so it is unknown whether the tags still point to their pins; use --online",
    )


def test_a_lint_rule_that_is_disabled_for_a_version(world: World) -> None:
    base = BASE.replace('["1.0"]', "{'1': {lint: {ignore: {pipefail: old}}}, '2': {MORE}}")
    more = "lint: {ignore: {pipefail: it has none}}"
    world.make({FAMILY: base.replace("MORE", "")}, {FAMILY: base.replace("MORE", more)})
    assert world.review().notes == (f"{FAMILY}: disables the lint rule pipefail for version 2: it has none",)
