"""Risks of the lock: a seeded bug of every kind is reported with its line and exact text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from dfgen.catalog.lockfile import LOCK_FILE, Lock, Pin
from dfgen.cli.review.text import summary
from dfgen.commands.review.records import ParentDetails
from dfgen.oci.digest import Digest
from dfgen.oci.reference import Reference
from tests.unit.review.states import lines, reviewed
from tests.unit.review.world import (
    AMD64,
    AMD_FILE,
    ARM64,
    BASE,
    DEBIAN,
    World,
    locked,
    put,
    write,
)

AGAIN = f"run `dfgen lock --upgrade {DEBIAN}`"


def test_pin_with_an_index_digest(world: World) -> None:
    new = locked(build="2")
    world.make({}, {}, locked(), replace(new, platforms={**new.platforms, ARM64: Pin(locked().digest)}))
    assert world.risks() == [
        f"bases/lock.json:10: error: the pin of {DEBIAN} for linux/arm64 is an index digest; expected the digest"
        f" of the linux/arm64 image; {AGAIN} [pin-index]"
    ]


def test_pin_that_the_registry_resolves_to_an_index(world: World) -> None:
    world.make({}, {}, locked(), locked(build="2"))
    found = world.risks(inspect=lambda _, digest: ParentDetails())
    assert [line.rpartition(" ")[2] for line in found] == ["[pin-index]", "[pin-index]"]


def test_pin_that_the_registry_resolves_to_another_architecture(world: World) -> None:
    world.make({}, {}, locked(), locked(build="2"))
    assert world.risks(inspect=lambda _, digest: ParentDetails(platform=AMD64)) == [
        f"bases/lock.json:10: error: the pin of {DEBIAN} for linux/arm64 is a linux/amd64 image; {AGAIN}"
        " [pin-platform]"
    ]


def test_new_pin_shared_by_two_platforms(world: World) -> None:
    new = locked(build="2")
    world.make(
        {}, {}, locked(), replace(new, platforms={AMD64: new.platforms[AMD64], ARM64: new.platforms[AMD64]})
    )
    assert [line.rpartition(" ")[2] for line in world.risks()] == ["[pin-platform]"]


def test_swapped_pair_is_one_risk(world: World) -> None:
    old = locked()
    world.make(
        {}, {}, old, replace(old, platforms={AMD64: old.platforms[ARM64], ARM64: old.platforms[AMD64]})
    )
    assert world.risks() == [
        f"bases/lock.json:9: error: the pins of {DEBIAN} for linux/amd64 and linux/arm64 are swapped; {AGAIN}"
        " [pin-swapped]"
    ]


BEHAVIOR = {
    "entrypoint": (("/a",), (), 'entrypoint ["/a"] → none'),
    "command": (("nginx", "-g"), ("bash",), 'command ["nginx", "-g"] → ["bash"]'),
    "user": ("app", "", "user app → none"),
}


@pytest.mark.parametrize("name", BEHAVIOR)
def test_parent_that_runs_another_program_or_as_another_user(world: World, name: str) -> None:
    was, now, change = BEHAVIOR[name]
    old, new = locked(), locked(build="2")
    world.make({}, {}, old, new)

    def inspect(_: Reference, digest: Digest) -> ParentDetails:
        platform = next(
            one for pins in (old, new) for one, pin in pins.platforms.items() if pin.digest == digest
        )
        is_old = digest in {pin.digest for pin in old.platforms.values()}
        return ParentDetails(platform=platform, size=int(is_old), **{name: was if is_old else now})

    assert world.risks(inspect=inspect) == [
        f"bases/lock.json:9: warning: {DEBIAN} for linux/amd64 and linux/arm64 has another {change}; images inherit"
        " it unless they set their own, so check whether it is still the same software [parent-behavior]"
    ]
    assert summary(world.review(inspect=inspect)).startswith("1 warning; ")


def test_a_review_without_a_registry_says_what_it_did_not_inspect(world: World) -> None:
    world.make({}, {}, locked(), locked(build="2"))
    assert summary(world.review()).startswith("no risks found, but 1 pin was not inspected (use --online); ")
    inspected = world.review(inspect=lambda _, digest: None)
    assert summary(inspected).startswith("no risks; ")
    world.make({}, {}, locked(), locked())
    assert summary(world.review()).startswith("no risks; ")


def test_one_architecture_did_not_move(world: World) -> None:
    old, new = locked(), locked(build="2")
    world.make({}, {}, old, replace(new, platforms={**new.platforms, ARM64: old.platforms[ARM64]}))
    assert world.risks() == [
        f"bases/lock.json:10: warning: {DEBIAN} moved for linux/amd64 but not for linux/arm64; all platforms"
        f" should use the same build; {AGAIN} [parent-ages]"
    ]


def test_architectures_built_far_apart(world: World) -> None:
    new = locked(build="2")
    world.make({}, {}, locked(), new)

    def inspect(reference: Reference, digest: Digest) -> ParentDetails:
        is_arm = digest == new.platforms[ARM64].digest
        created = "2026-01-01T00:00:00.123Z" if is_arm else "2026-02-01T00:00:00Z"
        return ParentDetails(platform=ARM64 if is_arm else AMD64, created=created)

    assert [line for line in world.risks(inspect=inspect) if "parent-ages" in line] == [
        f"bases/lock.json:10: warning: {DEBIAN} was built 31 days earlier for linux/arm64 than for"
        " linux/amd64; check whether its publisher still builds linux/arm64 [parent-ages]"
    ]


def _created(dates: Mapping[Digest, str]) -> Callable[[Reference, Digest], ParentDetails]:
    """Return `inspect` with creation dates; digests are those of amd64 images."""
    return lambda _, digest: ParentDetails(platform=AMD64, created=dates.get(digest, ""))


@pytest.mark.parametrize(
    ("was", "now", "is_risk"),
    [
        ("2026-05-01T00:00:00Z", "2024-01-01T00:00:00Z", True),
        ("2026-05-01T10:00:00.123456789Z", "2026-05-01T09:59:59Z", True),
        ("2026-05-01T10:00:00+02:00", "2026-05-01T09:00:00Z", False),
        ("2026-05-01T00:00:00Z", "2026-05-01T00:00:00Z", False),
        ("2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z", False),
        ("2026-05-01T00:00:00Z", "1970-01-01T00:00:00Z", False),
        ("2026-05-01T00:00:00Z", "1980-01-01T00:00:01Z", False),
        ("2026-05-01T00:00:00Z", "", False),
        ("yesterday", "2024-01-01T00:00:00Z", False),
    ],
)
def test_parent_that_goes_back_in_time(world: World, was: str, now: str, is_risk: bool) -> None:
    amd64 = {"bases/app/base.yaml": f"{BASE}platforms: [amd64]\n"}
    old, new = (
        replace(one, platforms={AMD64: one.platforms[AMD64]}) for one in (locked(), locked(build="2"))
    )
    world.make(amd64, amd64, old, new)
    inspect = _created({old.platforms[AMD64].digest: was, new.platforms[AMD64].digest: now})
    expected = (
        f"bases/lock.json:9: warning: {DEBIAN} goes back in time for linux/amd64: created {was[:10]} → {now[:10]};"
        " check why its publisher went back, and whether fixes are lost [parent-older]"
    )
    assert world.risks(inspect=inspect) == ([expected] if is_risk else [])


def test_architectures_on_different_tags(world: World) -> None:
    other = "docker.io/library/debian:11"
    override = f"overrides:\n  - when: arch == 'arm64'\n    parent: {other}\n"
    world.make({}, {})
    write(world.now, {"bases/app/base.yaml": BASE + override}, {DEBIAN: locked(), other: locked(other)})
    assert [line for line in world.risks() if "parent-tags" in line] == [
        f"bases/app/base.yaml:6:13: warning: app:1.0 has different parents on different platforms: {other} and"
        f" {DEBIAN}; check whether this is intended [parent-tags]"
    ]


def test_tag_that_moved_on(world: World) -> None:
    world.make({}, {}, locked(), locked(build="2"))
    now = Digest.of(b"3")
    assert world.risks(resolve=lambda reference: now) == [
        f"bases/lock.json:4: warning: {DEBIAN} now points to {now}, but the lock has {locked(build='2').digest};"
        f" the tag moved, or the pin is wrong; {AGAIN} [tag-mismatch]"
    ]


def test_new_tag_with_the_pins_of_the_old_one(world: World) -> None:
    other = "docker.io/library/debian:13"
    world.make({}, {})
    (world.now / AMD_FILE).unlink()
    write(world.now, {"bases/app/base.yaml": BASE.replace("debian:12", "debian:13")}, {other: locked()})
    assert world.risks() == [
        f"bases/lock.json:4: warning: {other} has the pins of {DEBIAN}; run `dfgen lock --upgrade {other}`"
        " [tag-mismatch]"
    ]


def test_new_tag_beside_the_digest_of_the_old_one(world: World) -> None:
    old, bumped = (f"docker.io/library/debian:{tag}@{locked().digest}" for tag in ("12", "13"))
    write(world.was, {"bases/app/base.yaml": BASE.replace(DEBIAN, old)}, {old: locked()})
    write(world.now, {"bases/app/base.yaml": BASE.replace(DEBIAN, bumped)}, {bumped: locked()})
    place = "bases/app/base.yaml:2:9"
    assert world.risks() == [
        f"bases/lock.json:4: warning: {bumped} has the pins of {old}; write `docker.io/library/debian:13` at {place},"
        " then run `dfgen lock` [tag-mismatch]"
    ]
    now = Digest.of(b"3")
    write(world.was, {"bases/app/base.yaml": BASE}, {DEBIAN: locked(build="2")})
    found = world.risks(resolve=lambda reference: now)
    assert [line for line in found if line.endswith("[tag-mismatch]")] == [
        f"bases/lock.json:4: warning: docker.io/library/debian:13 now points to {now}, but the lock has"
        f" {locked().digest}; the tag moved, or the pin is wrong; write `docker.io/library/debian:13@{now}`"
        f" at {place}, then run `dfgen lock` [tag-mismatch]"
    ]


def test_parent_lost_a_platform(world: World) -> None:
    world.make({}, {})
    lost = replace(locked(build="2"), platforms={AMD64: locked(build="2").platforms[AMD64]})
    put(world.now, {LOCK_FILE: Lock({DEBIAN: lost}).to_text()})
    found = world.risks()
    assert (
        f"bases/lock.json:4: error: {DEBIAN} no longer has an image for linux/arm64; app:1.0@arm64 cannot be built;"
        " choose another tag [parent-platform]"
    ) in found
    assert any("has no pin for linux/arm64" in line and line.endswith("[broken]") for line in found)


def test_parent_lost_an_unused_platform(world: World) -> None:
    base = {"bases/app/base.yaml": f"{BASE}platforms: [amd64]\n"}
    new = locked(build="2")
    world.make(base, base, locked(), replace(new, platforms={AMD64: new.platforms[AMD64]}))
    assert world.risks() == [
        f"bases/lock.json:4: warning: {DEBIAN} no longer has an image for linux/arm64; no image needs it;"
        " choose another tag [parent-platform]"
    ]


def test_pin_moved_without_its_parent(world: World) -> None:
    old = locked()
    world.make(
        {}, {}, old, replace(old, platforms={**old.platforms, ARM64: locked(build="2").platforms[ARM64]})
    )
    assert world.risks() == [
        f"bases/lock.json:10: error: the pin of {DEBIAN} for linux/arm64 moved although the digest of {DEBIAN} did"
        f" not, so it is of another build; {AGAIN} [pin-parent]"
    ]


def test_new_tag_with_one_pin_of_the_old_one(world: World) -> None:
    other = "docker.io/library/debian:13"
    new = locked(other)
    world.make({}, {})
    (world.now / AMD_FILE).unlink()
    mixed = replace(new, platforms={**new.platforms, ARM64: locked().platforms[ARM64]})
    write(world.now, {"bases/app/base.yaml": BASE.replace("debian:12", "debian:13")}, {other: mixed})
    assert world.risks() == [
        f"bases/lock.json:10: warning: {other} moved for linux/amd64 but not for linux/arm64; all platforms should"
        f" use the same build; run `dfgen lock --upgrade {other}` [parent-ages]"
    ]


def test_architectures_on_different_tags_in_another_stage(world: World) -> None:
    other = "docker.io/library/debian:11"
    stage = f"{BASE}parents: {{build: '{DEBIAN}'}}\n"
    override = f"overrides:\n  - when: arch == 'arm64'\n    parents: {{build: '{other}'}}\n"
    parents = {DEBIAN: locked(), other: locked(other)}
    template = "FROM {{ parents.build }} AS build\nFROM {{ parent }}\nUSER app\n"
    write(world.was, {"bases/app/base.yaml": stage, "templates/t.j2": template}, parents)
    write(world.now, {"bases/app/base.yaml": stage + override, "templates/t.j2": template}, parents)
    assert [line.rpartition(" ")[2] for line in world.risks() if "different parents" in line] == [
        "[parent-tags]"
    ]


def test_other_tags_than_before(world: World) -> None:
    names = [f"docker.io/library/debian:{tag}" for tag in (11, 10)]
    parents = {name: locked(name) for name in (DEBIAN, *names)}
    bases = [f"{BASE}overrides:\n  - when: arch == 'arm64'\n    parent: {name}\n" for name in names]
    write(world.was, {"bases/app/base.yaml": bases[0]}, parents)
    write(world.now, {"bases/app/base.yaml": bases[1]}, parents)
    assert [line.rpartition(" ")[2] for line in world.risks()].count("[parent-tags]") == 1
    assert "parent-tags" not in " ".join(lines(reviewed(world.was, world.was).risks))
