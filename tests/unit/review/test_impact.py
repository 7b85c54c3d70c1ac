"""Which images are rebuilt, and why; which parents moved, and what moved inside."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dfgen.catalog.lockfile import LOCK_FILE, Lock
from dfgen.commands.review import review
from dfgen.commands.review.records import Kind, ParentDetails, PinMove, Sources
from dfgen.errors import Place, Problem
from dfgen.oci.digest import Digest
from dfgen.oci.reference import Reference
from tests.unit.review.states import folder, reviewed, state
from tests.unit.review.world import (
    AMD64,
    AMD_FILE,
    ARM64,
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
def test_the_reason_of_a_rebuild(world: World, change: dict[str, str], reasons: tuple[str, ...]) -> None:
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


@pytest.mark.parametrize(
    "change",
    [
        {"bases/app/files/other.conf": "b\n"},
        {"bases/app/base.yaml": f"{BASE}tests: [{{run: [id]}}]\n"},
        {"templates/t.j2": "{# why #}" + TEMPLATE},
        {"templates/unused.j2": "FROM x\n"},
    ],
)
def test_what_does_not_reach_an_image_rebuilds_nothing(world: World, change: dict[str, str]) -> None:
    world.make({}, change)
    found = world.review().impact
    assert (found.rebuilt, found.untouched) == ((), 2)


def test_a_rebuild_reaches_the_children_in_build_order(world: World) -> None:
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


def test_an_edit_without_any_cause_is_named(world: World) -> None:
    world.make({}, {})
    put(world.now, {"bases/app/1.0/Dockerfile_arm64": "FROM x\n"})
    assert {one.image: one.reasons for one in world.review(templates=None).impact.rebuilt} == {
        "app:1.0@arm64": ("Dockerfile edited",)
    }


def test_another_template_and_another_stage_are_reasons(world: World) -> None:
    stage = f"{BASE.replace('t.j2', 'u.j2')}parents: {{tool: 'docker.io/library/debian:12'}}\n"
    world.make({}, {"bases/app/base.yaml": stage, "templates/u.j2": f"{TEMPLATE}ENV A=1\n"})
    assert world.risks() == []
    assert why(world)["app:1.0@arm64"] == (
        "template templates/t.j2 → templates/u.j2",
        "stage parents",
    )


def test_a_hand_edit_is_built_too(world: World) -> None:
    world.make({}, {})
    path = "bases/app/1.0/Dockerfile_amd64"
    put(world.now, {path: (world.now / path).read_text() + "ENV A=1\n"})
    assert why(world) == {"app:1.0@amd64": ("Dockerfile edited",)}


def test_images_that_come_and_go(world: World) -> None:
    world.make({}, {"bases/app/base.yaml": BASE.replace("1.0", "2.0")})
    found = world.review().impact
    assert [(one.image, one.reasons) for one in found.rebuilt] == [
        ("app:2.0@amd64", ("new image",)),
        ("app:2.0@arm64", ("new image",)),
    ]
    assert found.removed == ("app:1.0@amd64", "app:1.0@arm64")


def test_a_file_that_was_stale_before_is_found_and_built(world: World) -> None:
    world.make({}, {})
    for root in (world.was, world.now):
        put(root, {"templates/t.j2": f"{TEMPLATE}ENV A=1\n"})
    found = world.review()
    assert [(risk.rule, risk.place.file) for risk in found.risks] == [
        ("not-rendered", AMD_FILE),
        ("not-rendered", ARM_FILE),
    ]
    assert [one.reasons for one in found.impact.rebuilt] == [("Dockerfile not rendered",)] * 2


def test_a_state_before_that_does_not_load_is_a_note_and_the_rest_is_told(world: World) -> None:
    world.make({}, {})
    put(world.was, {"bases/app/base.yaml": "versions: [\n"})
    put(world.now, {"templates/t.j2": f"{TEMPLATE}ENV A=1\n"})
    found = world.review()
    (note,) = found.notes
    assert note.startswith(
        "the old state cannot be loaded, so the images to rebuild are unknown: bases/app/base.yaml:2:1: "
    )
    assert [risk.rule for risk in found.risks] == ["not-rendered", "not-rendered"]


def test_a_lock_that_cannot_be_read_is_one_risk_and_no_pin_moves(world: World) -> None:
    world.make({}, {})
    old, new = state(world.was), state(world.now)
    wrong = Problem(Place(LOCK_FILE, 3), "is not JSON")
    found = review(old, replace(new, lock=Lock(), problems=(wrong,)), Sources(templates=folder(world.now)))
    assert [str(risk) for risk in found.risks] == ["bases/lock.json:3: error: is not JSON [broken]"]
    assert found.pins == ()


def moved(world: World, **sources: object) -> tuple[PinMove, ...]:
    return world.review(**sources).pins


def test_a_pin_move_names_digests_images_and_line(world: World) -> None:
    old, new = locked(), locked(build="2")
    world.make({}, {}, old, new)
    (move,) = moved(world)
    assert (move.kind, move.parent, move.before, move.after) == (Kind.CHANGED, DEBIAN, old.digest, new.digest)
    assert [(one.platform, one.before, one.after) for one in move.platforms] == [
        (platform, old.platforms[platform].digest, new.platforms[platform].digest)
        for platform in (AMD64, ARM64)
    ]
    assert (move.images, str(move.place)) == (("app:1.0@amd64", "app:1.0@arm64"), "bases/lock.json:4")


def test_another_tag_replaces_the_parent(world: World) -> None:
    world.make({}, {})
    other = "docker.io/library/debian:13"
    write(world.now, {"bases/app/base.yaml": BASE.replace("debian:12", "debian:13")}, {other: locked(other)})
    (move,) = moved(world)
    assert (move.kind, move.parent, move.replaces, len(move.platforms)) == (Kind.CHANGED, other, DEBIAN, 2)


def test_a_parent_that_comes_and_one_that_goes(world: World) -> None:
    world.make({}, {})
    put(world.now, {LOCK_FILE: Lock({DEBIAN: locked(), "x.example/a:1": locked("a")}).to_text()})
    assert [(one.kind, one.parent) for one in moved(world)] == [(Kind.ADDED, "x.example/a:1")]
    back = reviewed(world.now, world.was).pins
    assert [(one.kind, one.parent, one.after) for one in back] == [(Kind.REMOVED, "x.example/a:1", None)]


def test_a_date_that_was_written_again_is_no_move(world: World) -> None:
    world.make({}, {}, locked(), replace(locked(), first_seen="2026-02-02"))
    assert moved(world) == ()


def test_what_moved_inside_the_parent(world: World) -> None:
    world.make({}, {}, locked(), locked(build="2"))
    old = {one.digest for one in locked().platforms.values()}
    arms = {one.platforms[ARM64].digest for one in (locked(), locked(build="2"))}

    def inspect(reference: Reference, digest: Digest) -> ParentDetails | None:
        assert str(reference) == DEBIAN
        known = ParentDetails(platform=AMD64, size=2_000, created="2026-01-01", user="", labels={"v": "1"})
        if digest in arms:
            return None
        if digest in old:
            return known
        new = replace(known, size=1_500, user="app", entrypoint=("/a",))
        return replace(new, environment={"A": "1"}, labels={"v": "2"})

    (move,) = moved(world, inspect=inspect)
    assert [one.inside for one in move.platforms] == [
        (
            "size 2,000 → 1,500 bytes (-500)",
            "user none → app",
            'entrypoint none → ["/a"]',
            "environment A unset → 1",
            "label v 1 → 2",
        ),
        (),
    ]


def test_a_digest_is_looked_at_once(world: World) -> None:
    world.make({}, {}, locked(), locked(build="2"))
    asked: list[Digest] = []

    def inspect(reference: Reference, digest: Digest) -> None:
        asked.append(digest)

    world.review(inspect=inspect)
    assert len(asked) == len(set(asked)) == 4


def test_what_could_not_be_told_is_noted(world: World) -> None:
    world.make({}, {}, locked(), locked(build="2"))
    assert world.review(templates=None).notes == (
        "nothing was rendered, so stale Dockerfiles were not looked for",
        "no registry was contacted, so changes inside the parents and the platforms of new pins are unknown; use"
        " --online",
        "no registry was contacted, so it is unknown whether the tags still point to their pins; use --online",
    )
