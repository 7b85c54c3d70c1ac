"""Moved parents: digests, images and lines, and the changes inside of them."""

from __future__ import annotations

from dataclasses import replace

from dfgen.catalog.lockfile import LOCK_FILE, Lock
from dfgen.commands.review.records import Kind, ParentDetails, PinMove
from dfgen.oci.digest import Digest
from dfgen.oci.reference import Reference
from tests.unit.review.states import reviewed
from tests.unit.review.world import AMD64, ARM64, BASE, DEBIAN, World, locked, put, write


def moved(world: World, **sources: object) -> tuple[PinMove, ...]:
    return world.review(**sources).pins


def test_pin_move_has_digests_images_and_line(world: World) -> None:
    old, new = locked(), locked(build="2")
    world.make({}, {}, old, new)
    (move,) = moved(world)
    assert (move.kind, move.parent, move.before, move.after) == (Kind.CHANGED, DEBIAN, old.digest, new.digest)
    assert [(one.platform, one.before, one.after) for one in move.platforms] == [
        (platform, old.platforms[platform].digest, new.platforms[platform].digest)
        for platform in (AMD64, ARM64)
    ]
    assert (move.images, str(move.place)) == (("app:1.0@amd64", "app:1.0@arm64"), "bases/lock.json:4")


def test_new_tag_replaces_the_parent(world: World) -> None:
    world.make({}, {})
    other = "docker.io/library/debian:13"
    write(world.now, {"bases/app/base.yaml": BASE.replace("debian:12", "debian:13")}, {other: locked(other)})
    (move,) = moved(world)
    assert (move.kind, move.parent, move.replaces, len(move.platforms)) == (Kind.CHANGED, other, DEBIAN, 2)


def test_added_and_removed_parent(world: World) -> None:
    world.make({}, {})
    put(world.now, {LOCK_FILE: Lock({DEBIAN: locked(), "x.example/a:1": locked("a")}).to_text()})
    assert [(one.kind, one.parent) for one in moved(world)] == [(Kind.ADDED, "x.example/a:1")]
    back = reviewed(world.now, world.was).pins
    assert [(one.kind, one.parent, one.after) for one in back] == [(Kind.REMOVED, "x.example/a:1", None)]


def test_new_date_is_not_a_move(world: World) -> None:
    world.make({}, {}, locked(), replace(locked(), first_seen="2026-02-02"))
    assert moved(world) == ()


def test_changes_inside_a_parent(world: World) -> None:
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


def test_digest_is_inspected_once(world: World) -> None:
    world.make({}, {}, locked(), locked(build="2"))
    requests: list[Digest] = []

    def inspect(reference: Reference, digest: Digest) -> None:
        requests.append(digest)

    world.review(inspect=inspect)
    assert len(requests) == len(set(requests)) == 4
