"""Which Dockerfiles a build may rewrite: those that differ only by outdated pins of the catalog's families."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dfgen.catalog.lockfile import Lock, LockedParent, Pin
from dfgen.catalog.model import Image
from dfgen.commands.building.relock import has_outdated_pins
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import OCI_INDEX
from tests.unit.models import AMD64, UPSTREAM, image, parent, upstream_lock

OLD, NEW = Digest.of(b"old"), Digest.of(b"new")


def locked(digest: Digest) -> LockedParent:
    return LockedParent(
        digest=Digest.of(b"x"),
        media_type=OCI_INDEX,
        first_seen="2026-01-01",
        platforms={AMD64: Pin(digest, 1)},
    )


LOCK = upstream_lock().with_parents({"a:1": locked(NEW), "b:1": locked(NEW)})


def render(one: Image, lock: Lock) -> str:
    pins = [(each, lock.pin(each)) for each in one.all_parents]
    return "".join(f"FROM {each.reference}@{pin.digest}\n" for each, pin in pins if pin) + "RUN new\n"


CHILD = image("c", parents=["a:1", "b:1"])
ALL_OLD = render(CHILD, LOCK.with_parents({"a:1": locked(OLD), "b:1": locked(OLD)}))
ONE_OLD = render(CHILD, LOCK.with_parents({"b:1": locked(OLD)}))


@pytest.mark.parametrize(
    ("old", "expected"),
    [
        (None, True),
        (ALL_OLD, True),
        (ONE_OLD, True),
        (ONE_OLD.replace("RUN new", "RUN old"), False),
        (ONE_OLD.replace(str(OLD), "sha256:0"), False),
        ("FROM scratch\n", False),
    ],
)
def test_only_pins_of_families_may_differ(old: str | None, expected: bool) -> None:
    assert has_outdated_pins(CHILD, old, LOCK, render) is expected


def test_an_image_without_a_parent_in_the_catalog_has_no_outdated_pins() -> None:
    alone = image("c", parents=[UPSTREAM])
    pins = {AMD64: Pin(OLD, 7)}
    moved = LOCK.with_parents({UPSTREAM: replace(LOCK.parents[UPSTREAM], platforms=pins)})
    assert not has_outdated_pins(alone, render(alone, moved), LOCK, render)
    assert not has_outdated_pins(alone, None, LOCK, render)


def test_a_parent_without_a_pin_is_left_to_the_build() -> None:
    waiting = image("c", parents=["a:1", "new:1"])
    assert parent("new:1").family == "new"
    assert not has_outdated_pins(waiting, "FROM localhost/new:1@sha256:1\n", LOCK, render)
