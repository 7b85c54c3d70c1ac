"""Upgrade and check: pins move on request, all architectures together."""

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


def test_upgrade_moves_the_parents_whose_tags_moved(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    index = registry.index(KEY, amd64="a2", arm64="b2")
    changes = upgrade(catalog, first, how(registry, "2026-02-01"))
    assert sorted(registry.requests) == [f"GET {KEY}", f"HEAD {OTHER}", f"HEAD {KEY}"]
    assert [moved.key for moved in changes.moved] == [KEY]
    assert changes.moved[0].old == first.parents[KEY]
    amd64, arm64 = digests(index, "amd64", "arm64")
    assert pins(changes) == [f"linux/amd64 {amd64}", f"linux/arm64 {arm64}"]
    assert changes.lock.parents[KEY].first_seen == "2026-02-01"
    assert changes.lock.parents[OTHER] == first.parents[OTHER]


@pytest.mark.parametrize("name", [KEY, "busybox:1.36", "busybox", "docker.io/library/busybox"])
def test_upgrade_moves_only_named_parents(catalog: Catalog, registry: MemoryRegistry, name: str) -> None:
    first = first_lock(catalog, registry)
    registry.index(KEY, amd64="a2", arm64="b2")
    registry.index(OTHER, amd64="x2", arm64="y2")
    changes = upgrade(catalog, first, how(registry), [name])
    assert registry.requests == [f"HEAD {KEY}", f"GET {KEY}"]
    assert [moved.key for moved in changes.moved] == [KEY]


def test_a_mirrored_parent_has_its_name_of_the_catalog(tmp_path: Path, registry: MemoryRegistry) -> None:
    mirrored = loaded(tmp_path, FAMILY, "mirrors: {docker.io: mirror.example.com/hub}\n")
    registry.index("mirror.example.com/hub/library/busybox:1.36", amd64="m", arm64="n")
    changes = upgrade(mirrored, Lock(), how(registry), ["busybox"])
    assert registry.requests == ["GET mirror.example.com/hub/library/busybox:1.36"]
    assert list(changes.lock.parents) == [KEY]


@pytest.mark.parametrize("name", ["nginx", "busybox:latest", "busybox:1.37", "app:1.0"])
def test_upgrade_refuses_unknown_parents(catalog: Catalog, registry: MemoryRegistry, name: str) -> None:
    with pytest.raises(InputError) as caught:
        upgrade(catalog, Lock(), how(registry), [KEY, name])
    assert str(caught.value) == f"unknown parent {name!r}; the catalog uses {OTHER} and {KEY}"
    assert registry.requests == []


def test_upgrade_pins_parents_without_a_pin(catalog: Catalog, registry: MemoryRegistry) -> None:
    changes = upgrade(catalog, Lock(), how(registry))
    assert sorted(changes.lock.parents) == [OTHER, KEY]


def test_moves_of_unused_platforms_are_ignored(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    registry.index(KEY, amd64="a1", arm64="b1", s390x="c2")
    changes = upgrade(catalog, first, how(registry, "2026-02-01"))
    assert (changes.lock, changes.moved, changes.held) == (first, (), {})
    check(catalog, first, how(registry))


def test_a_partly_moved_parent_is_held_back(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    registry.index(KEY, amd64="a2", arm64="b1")
    registry.index(OTHER, amd64="x2", arm64="y2")
    changes = upgrade(catalog, first, how(registry))
    reason = f"only linux/amd64 moved, not linux/arm64; wait, or run `dfgen lock --upgrade {KEY} --uneven`"
    assert changes.held == {KEY: reason}
    assert [moved.key for moved in changes.moved] == [OTHER]
    assert changes.lock.parents[KEY] == first.parents[KEY]
    with pytest.raises(CheckError) as caught:
        check(catalog, first, how(registry))
    assert f"bases/app/base.yaml:2:9: {KEY} is being updated: {reason}" in str(caught.value).splitlines()


def test_a_partly_moved_parent_moves_with_uneven(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    index = registry.index(KEY, amd64="a2", arm64="b1")
    changes = upgrade(catalog, first, how(registry, "2026-02-01", uneven=True), [KEY])
    assert (changes.held, [moved.key for moved in changes.moved]) == ({}, [KEY])
    amd64, arm64 = digests(index, "amd64", "arm64")
    assert pins(changes) == [f"linux/amd64 {amd64}", f"linux/arm64 {arm64}"]
    assert changes.lock.parents[KEY].digest == index.descriptor.digest
    check(catalog, changes.lock, how(registry))


def test_check_passes_with_one_head_per_parent(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    check(catalog, first, how(registry))
    assert sorted(registry.requests) == [f"HEAD {OTHER}", f"HEAD {KEY}"]


def test_check_reports_moved_and_missing_pins(
    tmp_path: Path, catalog: Catalog, registry: MemoryRegistry
) -> None:
    first = first_lock(catalog, registry)
    old = registry.tags[KEY].descriptor.digest
    now = registry.index(KEY, amd64="a2", arm64="b2").descriptor.digest
    with pytest.raises(CheckError) as caught:
        check(catalog, first.only(frozenset({KEY})), how(registry))
    assert str(caught.value).splitlines() == [
        f"bases/app/base.yaml:2:9: {KEY} has moved: locked {old}, now {now}; run `dfgen lock --upgrade {KEY}`",
        f"bases/app/base.yaml:4:17: parent {OTHER} has no pin for linux/amd64 and linux/arm64; run `dfgen lock`",
    ]


def test_check_raises_the_errors_of_the_registry(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    registry.broken = {KEY: ExternalError("hub is down")}
    with pytest.raises(ExternalError) as caught:
        check(catalog, first, how(registry))
    assert str(caught.value) == "bases/app/base.yaml:2:9: hub is down"


def test_check_reports_moved_parents_if_another_one_fails(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    old = registry.tags[KEY].descriptor.digest
    now = registry.index(KEY, amd64="a2", arm64="b2").descriptor.digest
    registry.broken = {OTHER: ExternalError("hub is down")}
    with pytest.raises(ExternalError) as caught:
        check(catalog, first, how(registry))
    assert caught.value.exit_code == 3
    assert str(caught.value).splitlines() == [
        f"bases/app/base.yaml:2:9: {KEY} has moved: locked {old}, now {now}; run `dfgen lock --upgrade {KEY}`",
        "bases/app/base.yaml:4:17: hub is down",
    ]
