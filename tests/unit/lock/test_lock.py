"""Lock: parents without a pin are pinned; existing pins stay."""

from __future__ import annotations

import json
from pathlib import Path

from dfgen.catalog.lockfile import Lock, LockedParent
from dfgen.catalog.model import Catalog
from dfgen.commands.lock import lock, required_parents
from dfgen.oci.manifest import OCI_INDEX
from tests.unit.catalogs import FAMILY, loaded
from tests.unit.lock.fakes import MemoryRegistry, digests
from tests.unit.lock.parents import KEY, OTHER, first_lock, how, opened, pins


def test_each_parent_without_a_pin_costs_one_request_and_two_per_pin(
    catalog: Catalog, registry: MemoryRegistry
) -> None:
    changes = lock(catalog, Lock(), how(registry))
    expected = [f"GET {OTHER}", *opened(changes, OTHER), f"GET {KEY}", *opened(changes)]
    assert sorted(registry.requests) == sorted(expected)
    entry = changes.lock.parents[KEY]
    index = registry.tags[KEY]
    assert (entry.digest, entry.media_type, entry.first_seen) == (
        index.descriptor.digest,
        OCI_INDEX,
        "2026-01-31",
    )
    amd64, arm64 = digests(index, "amd64", "arm64")
    assert pins(changes) == [f"linux/amd64 {amd64}", f"linux/arm64 {arm64}"]
    assert [moved.key for moved in changes.moved] == [OTHER, KEY]
    assert all(moved.old is None for moved in changes.moved)
    assert (changes.failed, changes.held, changes.removed, changes.unbuilt) == (None, {}, (), ())


def test_existing_pins_stay_without_a_request(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    registry.index(KEY, amd64="a2", arm64="b2")
    changes = lock(catalog, first, how(registry, "2026-02-01"))
    assert (changes.lock, changes.moved, registry.requests) == (first, (), [])


def test_only_missing_pins_are_added(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry).only(frozenset({OTHER}))
    changes = lock(catalog, first, how(registry))
    assert registry.requests == [f"GET {KEY}", *opened(changes)]
    assert [moved.key for moved in changes.moved] == [KEY]
    assert changes.lock.parents[OTHER] is first.parents[OTHER]


def test_a_new_platform_comes_from_the_locked_index(tmp_path: Path, registry: MemoryRegistry) -> None:
    first = first_lock(loaded(tmp_path, FAMILY), registry)
    old = registry.tags[KEY]
    registry.index(KEY, amd64="a2", arm64="b2", s390x="c2")
    more = loaded(tmp_path, FAMILY + "platforms: [amd64, arm64, s390x]\n")
    changes = lock(more, first, how(registry, "2026-02-01"))
    (s390x,) = digests(old, "s390x")
    read = [f"GET docker.io/library/busybox@{s390x}", "BLOB docker.io/library/busybox"]
    assert registry.requests == [f"GET {KEY}@{old.descriptor.digest}", *read]
    assert pins(changes) == [*pins(first), f"linux/s390x {s390x}"]
    assert changes.lock.parents[KEY].first_seen == "2026-01-31"


def test_unused_entries_are_removed(tmp_path: Path, catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    changes = lock(loaded(tmp_path, FAMILY), first, how(registry))
    assert (list(changes.lock.parents), changes.removed, changes.moved) == ([KEY], (OTHER,), ())


def test_a_parent_used_twice_is_listed_once_with_all_its_platforms(tmp_path: Path) -> None:
    stage = f"parents: {{cross: {{image: '{KEY}', platform: s390x}}}}\n"
    (parent,) = required_parents(loaded(tmp_path, FAMILY + stage))
    assert [str(platform) for platform in parent.platforms] == ["linux/amd64", "linux/arm64", "linux/s390x"]
    assert (parent.key, str(parent.reference), str(parent.place)) == (KEY, KEY, "bases/app/base.yaml:2:9")


CHILD = "template: t.j2\nparent: app:1.0\nversions: ['2']\n"


def test_a_family_has_no_pin_until_it_is_built(tmp_path: Path, registry: MemoryRegistry) -> None:
    catalog = loaded(tmp_path, FAMILY, child=CHILD)
    changes = lock(catalog, Lock(), how(registry))
    assert (changes.unbuilt, list(changes.lock.parents)) == (("app:1.0",), [KEY])


def test_a_built_family_is_pinned_and_its_pin_stays(tmp_path: Path, registry: MemoryRegistry) -> None:
    catalog = loaded(tmp_path, FAMILY, child=CHILD)
    entry = first_lock(loaded(tmp_path, FAMILY), registry).parents[KEY]
    calls: list[str] = []

    def built(key: str) -> LockedParent:
        calls.append(key)
        return entry

    changes = lock(catalog, Lock(), how(registry, built=built))
    assert changes.lock.parents["app:1.0"] is entry
    assert [moved.key for moved in changes.moved] == ["app:1.0", KEY]
    again = lock(catalog, changes.lock, how(registry, built=built))
    assert (again.moved, calls) == ((), ["app:1.0"])


def test_the_lock_does_not_depend_on_the_order_of_responses(
    catalog: Catalog, registry: MemoryRegistry
) -> None:
    texts = {lock(catalog, Lock(), how(registry)).lock.to_text() for _ in range(5)}
    (text,) = texts
    assert list(json.loads(text)["parents"]) == [OTHER, KEY]
