"""Which images are rebuilt, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dfgen.catalog.lockfile import LOCK_FILE, Lock
from dfgen.commands.review import review
from dfgen.commands.review.records import Sources
from dfgen.errors import Place, Problem
from tests.unit.review.states import folder, state
from tests.unit.review.world import (
    AMD_FILE,
    ARM_FILE,
    BASE,
    DEBIAN,
    TEMPLATE,
    World,
    locked,
    put,
    write,
)

TOOL = {
    "bases/tool/base.yaml": "template: tool.j2\nparent: app:1.0\nversions: ['1.0']\n",
    "templates/tool.j2": "FROM {{ parent }}\n",
}


def why(world: World) -> dict[str, tuple[str, ...]]:
    return {one.image: one.reasons for one in world.review().impact.rebuilt}


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({"templates/t.j2": f"{TEMPLATE}ENV A=1\n"}, ("template templates/t.j2",)),
        ({"bases/app/base.yaml": f"{BASE}labels: {{a: b}}\n"}, ("label a",)),
        ({"bases/app/base.yaml": f"{BASE}variables: {{a: 2}}\n"}, ("variable a",)),
        ({"bases/app/base.yaml": f"{BASE}packages: [curl]\n"}, ("package curl",)),
        ({"bases/app/base.yaml": f"{BASE}description: mine\n"}, ("description",)),
        ({"bases/app/base.yaml": f"{BASE}end_of_life: '2027-01-01'\n"}, ("family settings",)),
        ({"bases/app/files/app.conf": "b\n"}, ("context file bases/app/files/app.conf",)),
        ({"bases/app/.dockerignore": "files/a*\n"}, ("context file bases/app/files/app.conf",)),
        ({"bases/catalog.yaml": "source_date_epoch: 1\n"}, ("catalog setting source_date_epoch",)),
        (
            {"bases/catalog.yaml": "mirrors: {docker.io: m.example}\n"},
            ("catalog setting mirrors",),
        ),
    ],
)
def test_reason_of_a_rebuild(world: World, change: dict[str, str], reasons: tuple[str, ...]) -> None:
    text = (
        TEMPLATE
        + "LABEL a={{ labels.a }} d={{ description }} e={{ image.end_of_life }} p={{ packages | join(',') }}\n"
    )
    old = {
        "templates/t.j2": text.replace("labels.a", "labels.a | default(a)"),
        "bases/app/base.yaml": f"{BASE}variables: {{a: 1}}\n",
    }
    settings = change.get("bases/app/base.yaml", "")
    if settings and "variables" not in settings:
        change = {"bases/app/base.yaml": f"{settings}variables: {{a: 1}}\n"}
    world.make(old, {**old, **change})
    assert why(world) == {"app:1.0@amd64": reasons, "app:1.0@arm64": reasons}


PACKAGES = "bases/app/1.0/packages_{}.lock"


def test_packages_that_moved_rebuild_their_images_and_are_named_once(world: World) -> None:
    old = {"bases/catalog.yaml": "package_lock: true\n"}
    old |= {PACKAGES.format(arch): f"curl 1 {arch}\nzlib 3 {arch}\n" for arch in ("amd64", "arm64")}
    new = {PACKAGES.format(arch): f"curl 2 {arch}\nzlib 3 {arch}\n" for arch in ("amd64", "arm64")}
    new[PACKAGES.format("arm64")] += "zsh 5 arm64\n"
    world.make(old, {**old, **new})
    assert why(world) == {f"app:1.0@{arch}": ("packages moved",) for arch in ("amd64", "arm64")}
    notes = [note for note in world.review().notes if note.startswith("package")]
    assert notes == ["package curl 1 → 2 (amd64, arm64): app:1.0", "package zsh added (5) (arm64): app:1.0"]


def test_packages_that_get_older_or_move_on_one_architecture_only_are_risks(world: World) -> None:
    old = {"bases/catalog.yaml": "package_lock: true\n"}
    old |= {
        PACKAGES.format(arch): f"curl 1:1.10-1 {arch}\nonly-{arch} 1 {arch}\nzlib 3 {arch}\n"
        for arch in ("amd64", "arm64")
    }
    new = {
        PACKAGES.format("amd64"): "curl 1:1.9-1 amd64\nonly-amd64 2 amd64\nzlib 4 amd64\n",
        PACKAGES.format("arm64"): "curl 1:1.9-1 arm64\nonly-arm64 1 arm64\nzlib 3 arm64\n",
    }
    world.make(old, {**old, **new})
    place = f"{PACKAGES.format('amd64')}: warning: app:1.0: package"
    assert world.risks() == [
        f"{place} curl 1:1.10-1 → 1:1.9-1 is a downgrade (amd64 and arm64) [package-downgrade]",
        f"{place} zlib differs between architectures now: 4 (amd64) and 3 (arm64); build again when the mirror has all"
        " of them [package-uneven]",
    ]


def test_a_new_package_lock_rebuilds_nothing_and_a_broken_one_is_a_risk(world: World) -> None:
    old = {"bases/catalog.yaml": "package_lock: true\n"}
    world.make(old, {**old, PACKAGES.format("amd64"): "curl 1 amd64\n", PACKAGES.format("arm64"): "x\n"})
    assert why(world) == {}
    assert [str(risk.place) for risk in world.review().risks if risk.rule == "broken"] == [
        "bases/app/1.0/packages_arm64.lock:1"
    ]


def test_a_package_lock_that_is_switched_off_is_noted(world: World) -> None:
    world.make({"bases/catalog.yaml": "package_lock: true\n"}, {"bases/catalog.yaml": ""})
    assert "package_lock is switched off: app:1.0" in world.review().notes


@pytest.mark.parametrize(
    "change",
    [
        {"bases/app/files/other.conf": "b\n"},
        {"bases/app/base.yaml": f"{BASE}tests: [{{run: [id]}}]\n"},
        {"templates/t.j2": "{# why #}" + TEMPLATE},
        {"templates/unused.j2": "FROM x\n"},
    ],
)
def test_changes_without_effect_rebuild_nothing(world: World, change: dict[str, str]) -> None:
    world.make({}, change)
    found = world.review().impact
    assert (found.rebuilt, found.untouched) == ((), 2)


def test_children_are_rebuilt_in_build_order(world: World) -> None:
    parents = {DEBIAN: locked(), "app:1.0": locked("app:1.0")}
    write(world.was, TOOL, parents)
    write(world.now, {**TOOL, "templates/t.j2": f"{TEMPLATE}ENV A=1\n"}, parents)
    found = world.review(seconds={"app:1.0@amd64": 20.5, "tool:1.0@arm64": 2.0}).impact
    assert [(one.image, one.reasons, one.seconds) for one in found.rebuilt] == [
        ("app:1.0@amd64", ("template templates/t.j2",), 20.5),
        ("app:1.0@arm64", ("template templates/t.j2",), None),
        ("tool:1.0@amd64", ("rebuild of app:1.0@amd64",), None),
        ("tool:1.0@arm64", ("rebuild of app:1.0@arm64",), 2.0),
    ]
    assert found.seconds == 22.5


def test_edited_dockerfile_is_a_reason(world: World) -> None:
    world.make({}, {})
    put(world.now, {"bases/app/1.0/Dockerfile_arm64": "FROM x\n"})
    assert {one.image: one.reasons for one in world.review(templates=None).impact.rebuilt} == {
        "app:1.0@arm64": ("Dockerfile edited",)
    }


def test_new_template_and_new_stage_are_reasons(world: World) -> None:
    stage = f"{BASE.replace('t.j2', 'u.j2')}parents: {{tool: 'docker.io/library/debian:12'}}\n"
    world.make({}, {"bases/app/base.yaml": stage, "templates/u.j2": f"{TEMPLATE}ENV A=1\n"})
    assert world.risks() == []
    assert why(world)["app:1.0@arm64"] == (
        "template templates/t.j2 → templates/u.j2",
        "stage parents",
    )


def test_hand_edit_is_built(world: World) -> None:
    world.make({}, {})
    path = "bases/app/1.0/Dockerfile_amd64"
    put(world.now, {path: (world.now / path).read_text() + "ENV A=1\n"})
    assert why(world) == {"app:1.0@amd64": ("Dockerfile edited",)}


def test_added_and_removed_images(world: World) -> None:
    world.make({}, {"bases/app/base.yaml": BASE.replace("1.0", "2.0")})
    found = world.review().impact
    assert [(one.image, one.reasons) for one in found.rebuilt] == [
        ("app:2.0@amd64", ("new image",)),
        ("app:2.0@arm64", ("new image",)),
    ]
    assert found.removed == ("app:1.0@amd64", "app:1.0@arm64")


def test_file_that_was_stale_before_is_reported_and_built(world: World) -> None:
    world.make({}, {})
    for root in (world.was, world.now):
        put(root, {"templates/t.j2": f"{TEMPLATE}ENV A=1\n"})
    found = world.review()
    assert [(risk.rule, risk.place.file) for risk in found.risks] == [
        ("not-rendered", AMD_FILE),
        ("not-rendered", ARM_FILE),
    ]
    assert [one.reasons for one in found.impact.rebuilt] == [("Dockerfile not rendered",)] * 2


def test_invalid_old_state_is_a_note(world: World) -> None:
    world.make({}, {})
    put(world.was, {"bases/app/base.yaml": "versions: [\n"})
    put(world.now, {"templates/t.j2": f"{TEMPLATE}ENV A=1\n"})
    found = world.review()
    (note,) = found.notes
    assert note.startswith(
        "the old state cannot be loaded, so the images to rebuild are unknown: bases/app/base.yaml:2:1: "
    )
    assert [risk.rule for risk in found.risks] == ["not-rendered", "not-rendered"]


def test_unreadable_lock_is_one_risk_without_pin_moves(world: World) -> None:
    world.make({}, {})
    old, new = state(world.was), state(world.now)
    wrong = Problem(Place(LOCK_FILE, 3), "is not JSON")
    found = review(old, replace(new, lock=Lock(), problems=(wrong,)), Sources(templates=folder(world.now)))
    assert [str(risk) for risk in found.risks] == ["bases/lock.json:3: error: is not JSON [broken]"]
    assert found.pins == ()
