"""Pins move when the user asks, all architectures together; --check says what moved."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog
from dfgen.commands.lock import check, upgrade
from dfgen.errors import CheckError, ExternalError, InputError
from tests.unit.catalogs import FAMILY, loaded
from tests.unit.lock.fakes import MemoryRegistry, digests
from tests.unit.lock.parents import KEY, OTHER, first_lock, how, pins


def test_upgrade_moves_what_moved(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    index = registry.index(KEY, amd64="a2", arm64="b2")
    changes = upgrade(catalog, first, how(registry, "2026-02-01"))
    assert sorted(registry.asked) == [f"GET {KEY}", f"HEAD {OTHER}", f"HEAD {KEY}"]
    assert [moved.key for moved in changes.moved] == [KEY]
    assert changes.moved[0].old == first.parents[KEY]
    amd64, arm64 = digests(index, "amd64", "arm64")
    assert pins(changes) == [f"linux/amd64 {amd64}", f"linux/arm64 {arm64}"]
    assert changes.lock.parents[KEY].first_seen == "2026-02-01"
    assert changes.lock.parents[OTHER] == first.parents[OTHER]


@pytest.mark.parametrize("name", [KEY, "busybox:1.36", "busybox", "docker.io/library/busybox"])
def test_upgrade_moves_only_what_is_named(catalog: Catalog, registry: MemoryRegistry, name: str) -> None:
    first = first_lock(catalog, registry)
    registry.index(KEY, amd64="a2", arm64="b2")
    registry.index(OTHER, amd64="x2", arm64="y2")
    changes = upgrade(catalog, first, how(registry), [name])
    assert registry.asked == [f"HEAD {KEY}", f"GET {KEY}"]
    assert [moved.key for moved in changes.moved] == [KEY]


def test_a_parent_is_named_as_the_catalog_has_it_behind_a_mirror_too(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    mirrored = loaded(tmp_path, FAMILY, "mirrors: {docker.io: mirror.example.com/hub}\n")
    registry.index("mirror.example.com/hub/library/busybox:1.36", amd64="m", arm64="n")
    changes = upgrade(mirrored, Lock(), how(registry), ["busybox"])
    assert registry.asked == ["GET mirror.example.com/hub/library/busybox:1.36"]
    assert list(changes.lock.parents) == [KEY]


@pytest.mark.parametrize("name", ["nginx", "busybox:latest", "busybox:1.37", "app:1.0"])
def test_upgrade_of_what_is_no_parent(catalog: Catalog, registry: MemoryRegistry, name: str) -> None:
    with pytest.raises(InputError) as caught:
        upgrade(catalog, Lock(), how(registry), [KEY, name])
    assert str(caught.value) == f"no image is built on {name!r}; the parents are {OTHER} and {KEY}"
    assert registry.asked == []


def test_upgrade_pins_what_has_no_pin(catalog: Catalog, registry: MemoryRegistry) -> None:
    changes = upgrade(catalog, Lock(), how(registry))
    assert sorted(changes.lock.parents) == [OTHER, KEY]


def test_a_move_of_platforms_that_are_not_in_use_is_no_move(
    catalog: Catalog, registry: MemoryRegistry
) -> None:
    first = first_lock(catalog, registry)
    registry.index(KEY, amd64="a1", arm64="b1", s390x="c2")
    changes = upgrade(catalog, first, how(registry, "2026-02-01"))
    assert (changes.lock, changes.moved, changes.held) == (first, (), {})
    check(catalog, first, how(registry))


def test_a_half_published_parent_is_held_back(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    registry.index(KEY, amd64="a2", arm64="b1")
    registry.index(OTHER, amd64="x2", arm64="y2")
    changes = upgrade(catalog, first, how(registry))
    reason = (
        "only linux/amd64 moved, linux/arm64 did not yet; architectures move together"
        f" (`dfgen lock --upgrade {KEY} --uneven` moves it all the same)"
    )
    assert changes.held == {KEY: reason}
    assert [moved.key for moved in changes.moved] == [OTHER]
    assert changes.lock.parents[KEY] == first.parents[KEY]
    with pytest.raises(CheckError) as caught:
        check(catalog, first, how(registry))
    assert f"bases/app/base.yaml:2:9: {KEY} is moving: {reason}" in str(caught.value).splitlines()


def test_a_half_published_parent_moves_when_told_to(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    index = registry.index(KEY, amd64="a2", arm64="b1")
    changes = upgrade(catalog, first, how(registry, "2026-02-01", uneven=True), [KEY])
    assert (changes.held, [moved.key for moved in changes.moved]) == ({}, [KEY])
    amd64, arm64 = digests(index, "amd64", "arm64")
    assert pins(changes) == [f"linux/amd64 {amd64}", f"linux/arm64 {arm64}"]
    assert changes.lock.parents[KEY].digest == index.descriptor.digest
    check(catalog, changes.lock, how(registry))


def test_check_holds(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    check(catalog, first, how(registry))
    assert sorted(registry.asked) == [f"HEAD {OTHER}", f"HEAD {KEY}"]


def test_check_tells_of_moved_and_missing_pins(
    tmp_path: Path, catalog: Catalog, registry: MemoryRegistry
) -> None:
    first = first_lock(catalog, registry)
    old = registry.tags[KEY].descriptor.digest
    now = registry.index(KEY, amd64="a2", arm64="b2").descriptor.digest
    with pytest.raises(CheckError) as caught:
        check(catalog, first.only(frozenset({KEY})), how(registry))
    assert str(caught.value).splitlines() == [
        f"bases/app/base.yaml:2:9: {KEY} moved: locked {old}, now {now}; `dfgen lock --upgrade {KEY}` moves the pin",
        f"bases/app/base.yaml:4:17: parent {OTHER} has no pin for linux/amd64 and linux/arm64; run `dfgen lock`",
    ]


def test_check_fails_when_the_outside_does(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    registry.broken = {KEY: ExternalError("hub is down")}
    with pytest.raises(ExternalError) as caught:
        check(catalog, first, how(registry))
    assert str(caught.value) == "bases/app/base.yaml:2:9: hub is down"


def test_check_tells_what_moved_also_when_another_parent_cannot_be_asked(
    catalog: Catalog, registry: MemoryRegistry
) -> None:
    first = first_lock(catalog, registry)
    old = registry.tags[KEY].descriptor.digest
    now = registry.index(KEY, amd64="a2", arm64="b2").descriptor.digest
    registry.broken = {OTHER: ExternalError("hub is down")}
    with pytest.raises(ExternalError) as caught:
        check(catalog, first, how(registry))
    assert caught.value.exit_code == 3
    assert str(caught.value).splitlines() == [
        f"bases/app/base.yaml:2:9: {KEY} moved: locked {old}, now {now}; `dfgen lock --upgrade {KEY}` moves the pin",
        "bases/app/base.yaml:4:17: hub is down",
    ]
