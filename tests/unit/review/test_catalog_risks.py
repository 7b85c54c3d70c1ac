"""Risks of files and images: a seeded bug of every kind is reported with its line and exact text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dfgen.catalog.lockfile import LOCK_FILE, Lock
from dfgen.errors import Place
from dfgen.findings import Finding, Level
from tests.unit.review.world import (
    AMD64,
    AMD_FILE,
    ARM64,
    ARM_FILE,
    BASE,
    DEBIAN,
    TEMPLATE,
    Files,
    World,
    locked,
    put,
    write,
)

MINE = "bases/app/1.0/Dockerfile_mine"
NO_VERSION = (
    f"{MINE}: note: the file belongs to no version, so it is neither rendered nor built; check whether this is"
    " intended [not-rendered]"
)


def test_hand_edit_breaks_the_seal(world: World) -> None:
    world.make({}, {})
    path = world.now / ARM_FILE
    path.write_text(path.read_text().replace("USER app", "USER app2"))
    edited = (
        f"{ARM_FILE}:8: error: the generated file was edited by hand; move the change to the template, then `dfgen"
        " render --force` [hand-edited]"
    )
    assert world.risks() == [edited]
    assert world.risks(templates=None) == [edited]


def test_removed_seal_is_a_hand_edit(world: World) -> None:
    world.make({}, {})
    put(
        world.now,
        {ARM_FILE: (world.now / ARM_FILE).read_text().partition("USER")[0].replace("# dfgen", "# x")},
    )
    assert [risk.rule for risk in world.review().risks] == ["hand-edited", "user-root"]


@pytest.mark.parametrize(
    "change",
    [
        {"templates/t.j2": TEMPLATE.replace("app\n", "app\nWORKDIR /app\n")},
        {"templates/t.j2": "{% include 'more.j2' %}\n", "templates/more.j2": TEMPLATE + "WORKDIR /app\n"},
    ],
)
def test_template_change_without_rendering(world: World, change: Files) -> None:
    world.make({}, {})
    put(world.now, change)
    assert world.risks() == [
        f"{file}:8: error: the file is out of date; run `dfgen render` [not-rendered]"
        for file in (AMD_FILE, ARM_FILE)
    ]


def test_lock_change_without_rendering(world: World) -> None:
    world.make({}, {})
    put(world.now, {LOCK_FILE: Lock({DEBIAN: locked(build="2")}).to_text()})
    assert [line.partition(" ")[0] for line in world.risks()] == [f"{AMD_FILE}:6:", f"{ARM_FILE}:6:"]


def test_missing_and_left_over_dockerfiles(world: World) -> None:
    world.make({}, {})
    put(world.now, {"bases/app/base.yaml": BASE.replace("1.0", "2.0") + "platforms: [amd64]\n"})
    assert world.risks() == [
        f"{file}: error: {message} [not-rendered]"
        for file, message in [
            (AMD_FILE, "the file belongs to no version; `dfgen render` deletes it"),
            (ARM_FILE, "the file belongs to no version; `dfgen render` deletes it"),
            ("bases/app/2.0/Dockerfile_amd64", "the file is missing; run `dfgen render`"),
        ]
    ]


def test_from_with_an_index_or_another_platform(world: World) -> None:
    world.make({}, {})
    pins = locked().platforms
    arm = (world.now / ARM_FILE).read_text().replace(str(pins[ARM64].digest), str(pins[AMD64].digest))
    amd = (world.now / AMD_FILE).read_text().replace(str(pins[AMD64].digest), str(locked().digest))
    put(world.now, {ARM_FILE: arm, AMD_FILE: amd})
    assert [line for line in world.risks() if "hand-edited" not in line] == [
        f"{AMD_FILE}:6: error: FROM {DEBIAN} is pinned to an index digest; expected the digest of the linux/amd64"
        " image; run `dfgen render` [pin-index]",
        f"{ARM_FILE}:6: error: FROM {DEBIAN} for linux/arm64 is pinned to a linux/amd64 image; run `dfgen render`"
        " [pin-platform]",
    ]


@pytest.mark.parametrize("what", ["template", "context"])
def test_immutable_version_changes(world: World, what: str) -> None:
    base = {
        "bases/app/base.yaml": 'template: t.j2\nparent: docker.io/library/debian:12\nversions:\n  "1.0": {immutable: true}\n'
    }
    change = {"templates/t.j2": TEMPLATE + "WORKDIR /a\n"}
    why = "template templates/t.j2"
    if what == "context":
        change, why = {"bases/app/files/app.conf": "b\n"}, "context file bases/app/files/app.conf"
    world.make(base, {**base, **change})
    assert world.risks() == [
        f"bases/app/base.yaml:4:22: error: app:1.0 is immutable but changes for linux/amd64 and linux/arm64: {why};"
        " add a new version instead [immutable]"
    ]


def test_new_files_are_checked(world: World) -> None:
    world.make({}, {})
    more = {
        "bases/lib/base.yaml": BASE.replace("t.j2", "l.j2"),
        "templates/l.j2": "FROM {{ parent }}\nUSER root\n",
    }
    write(world.now, more, {DEBIAN: locked()})
    assert world.risks() == [
        "templates/l.j2:2: warning: the image now runs as root; end with an unprivileged USER (in 2 files)"
        " [user-root] (in bases/lib/1.0/Dockerfile_amd64:7)"
    ]


def test_invalid_catalog_is_a_risk(world: World) -> None:
    world.make({}, {})
    put(world.now, {"bases/app/base.yaml": "parent: docker.io/library/debian:12\nversions: ['1.0']\n"})
    found = world.review(templates=None)
    assert [(risk.rule, risk.place.file) for risk in found.risks] == [("broken", "bases/app/base.yaml")]
    assert found.fails(strict=False)


def test_template_error_is_a_risk(world: World) -> None:
    world.make({}, {})
    put(world.now, {"templates/t.j2": "FROM {{ parent }}\nUSER {{ nobody }}\n"})
    assert [(risk.rule, str(risk.place)) for risk in world.review().risks] == [("broken", "templates/t.j2:2")]


def test_platform_in_a_variable_is_not_checked(world: World) -> None:
    world.make({}, {})
    text = f"FROM --platform=$BUILDPLATFORM a@{locked().platforms[AMD64].digest}\n"
    put(world.now, {MINE: text})
    assert world.risks() == [NO_VERSION]


def test_removed_immutable_version_has_its_old_place(world: World) -> None:
    base = BASE.replace('["1.0"]', '{"1.0": {immutable: true}, "2.0": {}}')
    world.make({"bases/app/base.yaml": base}, {"bases/app/base.yaml": BASE.replace("1.0", "2.0")})
    assert world.risks() == [
        "bases/app/base.yaml:3:31: error: app:1.0 is immutable but changes for linux/amd64 and linux/arm64: it is"
        " removed; add a new version instead [immutable]"
    ]


def test_invalid_dockerfile_has_no_instruction_risks(world: World) -> None:
    world.make({}, {})
    put(world.now, {MINE: "FROM a\nENV\nENV A\nUSER root\n"})
    assert world.risks() == [NO_VERSION]


def test_old_file_of_no_version_is_not_reported(world: World) -> None:
    world.make({}, {})
    for root in (world.was, world.now):
        put(root, {MINE: "FROM a\n"})
    assert world.risks() == []


@pytest.mark.parametrize("is_rendered", [True, False])
def test_generated_file_of_a_removed_family_is_replaced(world: World, is_rendered: bool) -> None:
    lib = {"bases/lib/base.yaml": BASE}
    world.make(lib, lib)
    (world.now / "bases/lib/base.yaml").unlink()
    replaced = "bases/lib/1.0/Dockerfile_amd64"
    (world.now / "bases/lib/1.0/Dockerfile_arm64").unlink()
    put(world.now, {replaced: "FROM scratch\nUSER app\n"})
    found = world.risks() if is_rendered else world.risks(templates=None)
    assert found == [NO_VERSION.replace(MINE, replaced)]


def test_change_of_one_architecture_is_a_note(world: World) -> None:
    arm = "{% if arch == 'arm64' %}\nENV A=1\n{% endif %}\n"
    world.make({}, {"templates/t.j2": TEMPLATE + arm})
    assert world.risks() == [
        "templates/t.j2:5: note: the other architectures do not change in the same way; check whether this is"
        f" intended [arch-change] (in {ARM_FILE}:9)"
    ]


def test_different_changes_per_architecture_are_reported_once(world: World) -> None:
    base = {"bases/app/base.yaml": BASE.replace('["1.0"]', '["1.0", "2.0"]')}
    world.make(base, {**base, "templates/t.j2": TEMPLATE + "ENV A={{ 'a' if arch == 'arm64' else 'b' }}\n"})
    assert world.risks() == [
        "templates/t.j2:4: note: the other architectures do not change in the same way (in 2 versions); check"
        f" whether this is intended [arch-change] (in {AMD_FILE}:9)"
    ]


def test_platform_names_may_differ(world: World) -> None:
    text = f"{TEMPLATE}RUN get a-{{{{ arch }}}}.tgz {{{{ platform.uname }}}}\n"
    world.make({}, {"templates/t.j2": text})
    assert (len(world.review().groups), world.risks()) == (2, [])


def test_partly_rendered_version_has_no_arch_change_note(world: World) -> None:
    world.make({}, {"templates/t.j2": f"{TEMPLATE}ENV A=1\n"})
    put(world.now, {ARM_FILE: (world.was / ARM_FILE).read_text()})
    assert [risk.rule for risk in world.review().risks] == ["not-rendered"]


def test_arch_parity_finding_replaces_the_arch_change_note(world: World) -> None:
    world.make({}, {"templates/t.j2": TEMPLATE + "ENV A={{ 'a' if arch == 'arm64' else 'b' }}\n"})
    place = Place("templates/t.j2", 4)
    said = Finding(
        rule="arch-parity", level=Level.WARNING, message="m", place=place, generated=Place(AMD_FILE, 9)
    )
    assert world.review(parity=lambda images, rendered: [said]).risks == (said,)


def test_digest_in_a_label_may_differ(world: World) -> None:
    template = {"templates/t.j2": "FROM {{ parent }}\nLABEL base={{ parent.digest }}\nUSER app\n"}
    old, new = locked(), locked(build="2")
    world.make(
        template, template, old, replace(new, platforms={**new.platforms, AMD64: old.platforms[AMD64]})
    )
    assert [risk.rule for risk in world.review().risks] == ["parent-ages"]
