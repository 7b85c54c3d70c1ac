"""Lock: parents become pins, and a pin stays until the user moves it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dfgen.model.catalog import Catalog
from dfgen.model.lock import Lock, LockedParent
from dfgen.model.locking import LockChanges
from dfgen.stages.lock import Locking, check, lock, upgrade, wanted
from dfgen.values.errors import CheckError, InputError, OutsideError
from dfgen.values.manifest import ATTESTATION_TYPE, OCI_INDEX, OCI_MANIFEST, Descriptor, canonical_index
from dfgen.values.platform import Platform
from tests.unit.catalogs import FAMILY, loaded
from tests.unit.lock.fakes import MemoryRegistry, digests

KEY = "docker.io/library/busybox:1.36"
OTHER = "docker.io/library/alpine:3"
TWO = f"parents: {{tool: '{OTHER}'}}\n"


@pytest.fixture
def registry() -> MemoryRegistry:
    found = MemoryRegistry()
    found.index(KEY, amd64="a1", arm64="b1", s390x="c1")
    found.index(OTHER, amd64="x1", arm64="y1")
    return found


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return loaded(tmp_path, FAMILY + TWO)


def _how(registry: MemoryRegistry, today: str = "2026-01-31", **more: Any) -> Locking:
    return Locking(registry=registry, today=today, **more)


def _first(catalog: Catalog, registry: MemoryRegistry) -> Lock:
    first = lock(catalog, Lock(), _how(registry)).lock
    registry.asked.clear()
    return first


def _pins(changes: LockChanges | Lock, key: str = KEY) -> list[str]:
    found = changes if isinstance(changes, Lock) else changes.lock
    return [f"{platform} {pin.digest}" for platform, pin in sorted(found.parents[key].platforms.items())]


def test_parents_without_a_pin_are_pinned_with_one_request_each(
    catalog: Catalog, registry: MemoryRegistry
) -> None:
    changes = lock(catalog, Lock(), _how(registry))
    assert sorted(registry.asked) == [f"GET {OTHER}", f"GET {KEY}"]
    entry = changes.lock.parents[KEY]
    index = registry.tags[KEY]
    assert (entry.digest, entry.media_type, entry.first_seen) == (
        index.descriptor.digest,
        OCI_INDEX,
        "2026-01-31",
    )
    amd64, arm64 = digests(index, "amd64", "arm64")
    assert _pins(changes) == [f"linux/amd64 {amd64}", f"linux/arm64 {arm64}"]
    assert [moved.key for moved in changes.moved] == [OTHER, KEY]
    assert all(moved.old is None for moved in changes.moved)
    assert (changes.failed, changes.held, changes.unused, changes.waiting) == (None, {}, (), ())


def test_a_pin_stays_and_nothing_is_asked(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = _first(catalog, registry)
    registry.index(KEY, amd64="a2", arm64="b2")
    changes = lock(catalog, first, _how(registry, "2026-02-01"))
    assert (changes.lock, changes.moved, registry.asked) == (first, (), [])


def test_only_what_is_missing_is_pinned(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = _first(catalog, registry).only(frozenset({OTHER}))
    changes = lock(catalog, first, _how(registry))
    assert registry.asked == [f"GET {KEY}"]
    assert [moved.key for moved in changes.moved] == [KEY]
    assert changes.lock.parents[OTHER] is first.parents[OTHER]


def test_a_further_platform_comes_from_the_index_that_is_locked(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    first = _first(loaded(tmp_path, FAMILY), registry)
    old = registry.tags[KEY]
    registry.index(KEY, amd64="a2", arm64="b2", s390x="c2")
    more = loaded(tmp_path, FAMILY + "platforms: [amd64, arm64, s390x]\n")
    changes = lock(more, first, _how(registry, "2026-02-01"))
    assert registry.asked == [f"GET {KEY}@{old.descriptor.digest}"]
    (s390x,) = digests(old, "s390x")
    assert _pins(changes) == [*_pins(first), f"linux/s390x {s390x}"]
    assert changes.lock.parents[KEY].first_seen == "2026-01-31"


def test_upgrade_moves_what_moved(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = _first(catalog, registry)
    index = registry.index(KEY, amd64="a2", arm64="b2")
    changes = upgrade(catalog, first, _how(registry, "2026-02-01"))
    assert sorted(registry.asked) == [f"GET {KEY}", f"HEAD {OTHER}", f"HEAD {KEY}"]
    assert [moved.key for moved in changes.moved] == [KEY]
    assert changes.moved[0].old == first.parents[KEY]
    amd64, arm64 = digests(index, "amd64", "arm64")
    assert _pins(changes) == [f"linux/amd64 {amd64}", f"linux/arm64 {arm64}"]
    assert changes.lock.parents[KEY].first_seen == "2026-02-01"
    assert changes.lock.parents[OTHER] == first.parents[OTHER]


@pytest.mark.parametrize("name", [KEY, "busybox:1.36", "busybox", "docker.io/library/busybox"])
def test_upgrade_moves_only_what_is_named(catalog: Catalog, registry: MemoryRegistry, name: str) -> None:
    first = _first(catalog, registry)
    registry.index(KEY, amd64="a2", arm64="b2")
    registry.index(OTHER, amd64="x2", arm64="y2")
    changes = upgrade(catalog, first, _how(registry), [name])
    assert registry.asked == [f"HEAD {KEY}", f"GET {KEY}"]
    assert [moved.key for moved in changes.moved] == [KEY]


def test_a_parent_is_named_as_the_catalog_has_it_behind_a_mirror_too(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    mirrored = loaded(tmp_path, FAMILY, "mirrors: {docker.io: mirror.example.com/hub}\n")
    registry.index("mirror.example.com/hub/library/busybox:1.36", amd64="m", arm64="n")
    changes = upgrade(mirrored, Lock(), _how(registry), ["busybox"])
    assert registry.asked == ["GET mirror.example.com/hub/library/busybox:1.36"]
    assert list(changes.lock.parents) == [KEY]


@pytest.mark.parametrize("name", ["nginx", "busybox:latest", "busybox:1.37", "app:1.0"])
def test_upgrade_of_what_is_no_parent(catalog: Catalog, registry: MemoryRegistry, name: str) -> None:
    with pytest.raises(InputError) as caught:
        upgrade(catalog, Lock(), _how(registry), [KEY, name])
    assert str(caught.value) == f"no image is built on {name!r}; the parents are {OTHER} and {KEY}"
    assert registry.asked == []


def test_upgrade_pins_what_has_no_pin(catalog: Catalog, registry: MemoryRegistry) -> None:
    changes = upgrade(catalog, Lock(), _how(registry))
    assert sorted(changes.lock.parents) == [OTHER, KEY]


def test_a_move_of_platforms_that_are_not_in_use_is_no_move(
    catalog: Catalog, registry: MemoryRegistry
) -> None:
    first = _first(catalog, registry)
    registry.index(KEY, amd64="a1", arm64="b1", s390x="c2")
    changes = upgrade(catalog, first, _how(registry, "2026-02-01"))
    assert (changes.lock, changes.moved, changes.held) == (first, (), {})
    check(catalog, first, _how(registry))


def test_a_half_published_parent_is_held_back(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = _first(catalog, registry)
    registry.index(KEY, amd64="a2", arm64="b1")
    registry.index(OTHER, amd64="x2", arm64="y2")
    changes = upgrade(catalog, first, _how(registry))
    reason = "only linux/amd64 moved, linux/arm64 did not yet; architectures move together"
    assert changes.held == {KEY: reason}
    assert [moved.key for moved in changes.moved] == [OTHER]
    assert changes.lock.parents[KEY] == first.parents[KEY]
    with pytest.raises(CheckError) as caught:
        check(catalog, first, _how(registry))
    assert f"bases/app/base.yaml:2:9: {KEY} is moving: {reason}" in str(caught.value).splitlines()


def test_a_single_image_is_pinned_when_its_platform_is_the_wanted(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    one = loaded(tmp_path, FAMILY + "platforms: [arm64]\n")
    image = registry.single(KEY, {"os": "linux", "architecture": "arm64", "variant": "v8"})
    changes = lock(one, Lock(), _how(registry))
    assert registry.asked == [f"GET {KEY}", "BLOB docker.io/library/busybox"]
    entry = changes.lock.parents[KEY]
    assert (entry.digest, entry.media_type) == (image.descriptor.digest, OCI_MANIFEST)
    assert entry.platforms[Platform.parse("arm64")].size == len(image.raw)


@pytest.mark.parametrize(
    ("config", "kind", "message"),
    [
        ({"os": "linux", "architecture": "amd64"}, InputError, f"parent {KEY} has no linux/arm64; it has linux/amd64"),
        ({"os": "windows", "architecture": "amd64"}, InputError, f"parent {KEY} has no linux/amd64 and linux/arm64; it has windows/amd64"),
        ({}, CheckError, f"parent {KEY} has no image configuration: it names no architecture"),
        ([], CheckError, f"parent {KEY} has no image configuration: 'list' object has no attribute 'get'"),
        (b"x", CheckError, f"parent {KEY} has no image configuration: Expecting value: line 1 column 1 (char 0)"),
        (b"[" * 100_000, CheckError, None),
    ],
)  # fmt: skip
def test_a_single_image_of_something_else(
    tmp_path: Path, registry: MemoryRegistry, config: object, kind: type[Exception], message: str | None
) -> None:
    registry.single(KEY, config)
    failed = lock(loaded(tmp_path, FAMILY), Lock(), _how(registry)).failed
    assert type(failed) is kind
    if message:
        assert str(failed) == f"bases/app/base.yaml:2:9: {message}"


def test_a_missing_platform_lists_those_that_are_there(tmp_path: Path, registry: MemoryRegistry) -> None:
    wide = loaded(tmp_path, FAMILY + "platforms: [amd64, riscv64, ppc64le]\n")
    changes = lock(wide, Lock(), _how(registry))
    assert isinstance(changes.failed, InputError)
    assert str(changes.failed) == (
        f"bases/app/base.yaml:2:9: parent {KEY} has no linux/ppc64le and linux/riscv64;"
        " it has linux/amd64, linux/arm64 and linux/s390x"
    )
    assert changes.lock == Lock()


def test_attestations_and_windows_are_no_platforms_and_the_first_entry_counts(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    amd64, nested = Platform.parse("amd64"), Platform.parse("arm64")
    entries = [
        Descriptor.of(b"first", OCI_MANIFEST, amd64),
        Descriptor.of(b"second", OCI_MANIFEST, amd64),
        Descriptor.of(b"nested", OCI_INDEX, nested),
        Descriptor.of(b"win", OCI_MANIFEST, Platform.of("windows", "amd64", "", "10.0.1")),
        Descriptor.of(b"proof", OCI_MANIFEST, Platform("unknown", "unknown")),
        Descriptor(
            media_type=OCI_MANIFEST,
            digest=Descriptor.of(b"sbom", OCI_MANIFEST).digest,
            size=4,
            platform=amd64,
            annotations={ATTESTATION_TYPE: "attestation-manifest"},
        ),
    ]
    index = canonical_index(entries)
    registry.tag(KEY, index)
    one = loaded(tmp_path, FAMILY + "platforms: [amd64]\n")
    first = index.find(amd64)
    assert first is not None
    assert _pins(lock(one, Lock(), _how(registry))) == [f"linux/amd64 {first.digest}"]
    both = lock(loaded(tmp_path, FAMILY), Lock(), _how(registry))
    assert str(both.failed) == (
        f"bases/app/base.yaml:2:9: parent {KEY} has no linux/arm64; it has linux/amd64 and windows/amd64:10.0.1"
    )


def test_one_failure_does_not_stop_the_others(catalog: Catalog, registry: MemoryRegistry) -> None:
    del registry.tags[KEY]
    changes = lock(catalog, Lock(), _how(registry))
    assert isinstance(changes.failed, OutsideError)
    assert str(changes.failed) == f"bases/app/base.yaml:2:9: {KEY} is not there"
    assert list(changes.lock.parents) == [OTHER]


def test_failures_of_several_parents_are_told_together_with_the_worst_exit_code(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    third = "docker.io/library/third:1"
    registry.index(third, amd64="t")
    registry.broken = {name: OutsideError("hub is down") for name in (KEY, OTHER)}
    catalog = loaded(tmp_path, FAMILY + f"parents: {{a: '{OTHER}', b: '{third}'}}\n")
    failed = lock(catalog, Lock(), _how(registry)).failed
    assert isinstance(failed, OutsideError)
    assert failed.exit_code == 3
    assert str(failed).splitlines() == [
        f"bases/app/base.yaml:4:{21 + len(OTHER)}: parent {third} has no linux/arm64; it has linux/amd64",
        f"hub is down (parents concerned: {OTHER}, {KEY})",
    ]


def test_an_unreachable_host_is_told_once(catalog: Catalog, registry: MemoryRegistry) -> None:
    class UnreachableError(OutsideError):
        unreachable = "hub.example.com"

    registry.broken = {
        KEY: UnreachableError("hub: 3 tries in 5 s"),
        OTHER: UnreachableError("hub: 3 tries in 5 s"),
    }
    failed = lock(catalog, Lock(), _how(registry)).failed
    assert str(failed) == (
        f"hub: 3 tries in 5 s; `make demo` needs no registry (parents concerned: {OTHER}, {KEY})"
    )


def test_entries_that_no_image_uses_are_pruned(
    tmp_path: Path, catalog: Catalog, registry: MemoryRegistry
) -> None:
    first = _first(catalog, registry)
    changes = lock(loaded(tmp_path, FAMILY), first, _how(registry))
    assert (list(changes.lock.parents), changes.unused, changes.moved) == ([KEY], (OTHER,), ())


def test_done_is_told_of_every_parent(catalog: Catalog, registry: MemoryRegistry) -> None:
    registry.broken = {KEY: OutsideError("x")}
    told: list[str] = []
    lock(catalog, Lock(), _how(registry, done=told.append))
    assert sorted(told) == [OTHER, KEY]


def test_check_holds(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = _first(catalog, registry)
    check(catalog, first, _how(registry))
    assert sorted(registry.asked) == [f"HEAD {OTHER}", f"HEAD {KEY}"]


def test_check_tells_of_moved_and_missing_pins(
    tmp_path: Path, catalog: Catalog, registry: MemoryRegistry
) -> None:
    first = _first(catalog, registry)
    old = registry.tags[KEY].descriptor.digest
    now = registry.index(KEY, amd64="a2", arm64="b2").descriptor.digest
    with pytest.raises(CheckError) as caught:
        check(catalog, first.only(frozenset({KEY})), _how(registry))
    assert str(caught.value).splitlines() == [
        f"bases/app/base.yaml:2:9: {KEY} moved: locked {old}, now {now}; `dfgen lock --upgrade {KEY}` moves the pin",
        f"bases/app/base.yaml:4:17: parent {OTHER} has no pin for linux/amd64 and linux/arm64; run `dfgen lock`",
    ]


def test_check_fails_when_the_outside_does(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = _first(catalog, registry)
    registry.broken = {KEY: OutsideError("hub is down")}
    with pytest.raises(OutsideError) as caught:
        check(catalog, first, _how(registry))
    assert str(caught.value) == "bases/app/base.yaml:2:9: hub is down"


def test_a_parent_used_twice_is_asked_for_once_with_all_its_platforms(tmp_path: Path) -> None:
    stage = f"parents: {{cross: {{image: '{KEY}', platform: s390x}}}}\n"
    (want,) = wanted(loaded(tmp_path, FAMILY + stage))
    assert [str(platform) for platform in want.platforms] == ["linux/amd64", "linux/arm64", "linux/s390x"]
    assert (want.key, str(want.reference), str(want.place)) == (KEY, KEY, "bases/app/base.yaml:2:9")


CHILD = "template: t.j2\nparent: app:1.0\nversions: ['2']\n"


def test_a_family_waits_until_it_is_built(tmp_path: Path, registry: MemoryRegistry) -> None:
    catalog = loaded(tmp_path, FAMILY, child=CHILD)
    changes = lock(catalog, Lock(), _how(registry))
    assert (changes.waiting, list(changes.lock.parents)) == (("app:1.0",), [KEY])


def test_a_family_that_is_built_is_pinned_and_its_pin_stays(tmp_path: Path, registry: MemoryRegistry) -> None:
    catalog = loaded(tmp_path, FAMILY, child=CHILD)
    entry = _first(loaded(tmp_path, FAMILY), registry).parents[KEY]
    asked: list[str] = []

    def built(key: str) -> LockedParent:
        asked.append(key)
        return entry

    changes = lock(catalog, Lock(), _how(registry, built=built))
    assert changes.lock.parents["app:1.0"] is entry
    assert [moved.key for moved in changes.moved] == ["app:1.0", KEY]
    again = lock(catalog, changes.lock, _how(registry, built=built))
    assert (again.moved, asked) == ((), ["app:1.0"])


def test_the_lock_does_not_depend_on_the_order_of_answers(catalog: Catalog, registry: MemoryRegistry) -> None:
    texts = {lock(catalog, Lock(), _how(registry)).lock.to_text() for _ in range(5)}
    (text,) = texts
    assert list(json.loads(text)["parents"]) == [OTHER, KEY]
