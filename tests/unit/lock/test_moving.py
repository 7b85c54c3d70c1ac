"""Upgrade and check: pins move on request, all architectures together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfgen.catalog.lockfile import Lock, LockedParent
from dfgen.catalog.model import Catalog
from dfgen.commands.lock import check, lock, upgrade
from dfgen.errors import CheckError, DfgenError, ExternalError, InputError
from dfgen.oci.digest import Digest
from tests.unit.catalogs import FAMILY, loaded
from tests.unit.lock.fakes import CONFIG, MemoryRegistry, digests
from tests.unit.lock.parents import KEY, OTHER, first_lock, how, opened, pins


def test_upgrade_moves_the_parents_whose_tags_moved(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    index = registry.index(KEY, amd64="a2", arm64="b2")
    changes = upgrade(catalog, first, how(registry, "2026-02-01"))
    expected = [f"GET {KEY}", *opened(changes), f"HEAD {OTHER}", f"HEAD {KEY}"]
    assert sorted(registry.requests) == sorted(expected)
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
    assert registry.requests == [f"HEAD {KEY}", f"GET {KEY}", *opened(changes)]
    assert [moved.key for moved in changes.moved] == [KEY]


def test_a_mirrored_parent_has_its_name_of_the_catalog(tmp_path: Path, registry: MemoryRegistry) -> None:
    mirrored = loaded(tmp_path, FAMILY, "mirrors: {docker.io: mirror.example.com/hub}\n")
    registry.index("mirror.example.com/hub/library/busybox:1.36", amd64="m", arm64="n")
    changes = upgrade(mirrored, Lock(), how(registry), ["busybox"])
    read = [one.replace("docker.io", "mirror.example.com/hub") for one in opened(changes)]
    assert registry.requests == ["GET mirror.example.com/hub/library/busybox:1.36", *read]
    assert list(changes.lock.parents) == [KEY]


@pytest.mark.parametrize("name", ["nginx", "busybox:latest", "busybox:1.37"])
def test_upgrade_refuses_unknown_parents(catalog: Catalog, registry: MemoryRegistry, name: str) -> None:
    with pytest.raises(InputError) as caught:
        upgrade(catalog, Lock(), how(registry), [KEY, name])
    assert str(caught.value) == f"unknown parent {name!r}; the catalog uses {OTHER} and {KEY}"
    assert registry.requests == []


@pytest.mark.parametrize("name", ["app", "app:1.0", "app:1.0@arm64", "app@sha256:x"])
def test_the_parents_of_a_named_family_are_listed(
    catalog: Catalog, registry: MemoryRegistry, name: str
) -> None:
    with pytest.raises(InputError) as caught:
        upgrade(catalog, Lock(), how(registry), [name])
    assert str(caught.value) == (
        f"{name!r} is a family of this catalog, not an upstream parent; to move its parents, run"
        f" `dfgen lock --upgrade {OTHER} {KEY}`"
    )


def test_a_named_family_whose_parents_are_families(tmp_path: Path, registry: MemoryRegistry) -> None:
    catalog = loaded(tmp_path, FAMILY, child="template: t.j2\nparent: app:1.0\nversions: ['2']\n")
    with pytest.raises(InputError) as caught:
        upgrade(catalog, Lock(), how(registry), ["child"])
    assert str(caught.value) == (
        "'child' is a family of this catalog, not an upstream parent; its parents are families too, whose pins"
        " `dfgen build` moves"
    )


def test_a_named_parent_gets_the_pins_of_its_index(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    entry = first.parents[KEY]
    amd64, arm64 = sorted(entry.platforms)
    swapped = {amd64: entry.platforms[arm64], arm64: entry.platforms[amd64]}
    edited = first.with_parents({KEY: replace(entry, platforms=swapped)})
    changes = upgrade(catalog, edited, how(registry, min_age=3), [KEY])
    assert registry.requests == [f"HEAD {KEY}", f"GET {KEY}@{entry.digest}"]
    assert changes.lock == first
    assert upgrade(catalog, first, how(registry), [KEY]).moved == ()


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


def test_check_passes_with_one_head_per_tag_and_pin(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    check(catalog, first, how(registry))
    digests = [
        f"HEAD {key.rpartition(':')[0]}@{pin.digest}"
        for key in (OTHER, KEY)
        for pin in first.parents[key].platforms.values()
    ]
    assert sorted(registry.requests) == sorted([f"HEAD {OTHER}", f"HEAD {KEY}", *digests])


def test_check_reports_pins_that_no_longer_exist(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    lost = {platform: pin.digest for platform, pin in first.parents[KEY].platforms.items()}
    registry.delete(*lost.values())
    with pytest.raises(CheckError) as caught:
        check(catalog, first, how(registry))
    assert str(caught.value).splitlines() == [
        f"bases/app/base.yaml:2:9: the pin of {KEY} for {platform} no longer exists: {digest};"
        f" run `dfgen lock --upgrade {KEY}`; if nothing moves, use another tag"
        for platform, digest in sorted(lost.items())
    ]


def test_check_reports_lost_tags_and_platforms(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    registry.index(KEY, amd64="a2")
    del registry.tags[OTHER]
    with pytest.raises(CheckError) as caught:
        check(catalog, first, how(registry))
    assert str(caught.value).splitlines() == [
        f"bases/app/base.yaml:2:9: parent {KEY} no longer has an image for linux/arm64; it has linux/amd64; its pins"
        " stay",
        f"bases/app/base.yaml:4:17: parent {OTHER} no longer exists; its pins stay; use another tag",
    ]


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


WIDE = FAMILY + "platforms: [amd64, arm64, s390x]\n"


def _narrow(tmp_path: Path, registry: MemoryRegistry, **builds: str) -> Lock:
    """Lock KEY for amd64 and arm64, at an index with these images."""
    registry.index(KEY, **builds)
    return first_lock(loaded(tmp_path / "narrow", FAMILY), registry)


@pytest.mark.parametrize("min_age", [0, 7])
def test_a_new_platform_of_a_parent_that_did_not_move_is_added(
    tmp_path: Path, registry: MemoryRegistry, min_age: int
) -> None:
    first = _narrow(tmp_path, registry, amd64="a1", arm64="b1", s390x="c1")
    changes = upgrade(loaded(tmp_path, WIDE), first, how(registry, "2026-02-01", min_age=min_age))
    (s390x,) = digests(registry.tags[KEY], "s390x")
    assert pins(changes) == [*pins(first), f"linux/s390x {s390x}"]
    assert changes.held == {}


@pytest.mark.parametrize(
    ("moved", "more", "reason"),
    [
        ({"amd64": "a2", "arm64": "b2", "s390x": "c2"}, {"min_age": 7}, "{new} appeared after 2026-01-31; it can be pinned from 2026-02-08"),
        ({"amd64": "a2", "arm64": "b1", "s390x": "c2"}, {}, "only linux/amd64 moved, not linux/arm64 and linux/s390x; wait, or run `dfgen lock --upgrade {key} --uneven`"),
        ({"amd64": "a2", "arm64": "b1", "s390x": "c2"}, {"min_age": 7}, None),
    ],
)  # fmt: skip
def test_a_new_platform_of_a_parent_that_is_held_back_comes_from_the_locked_index(
    tmp_path: Path, registry: MemoryRegistry, moved: dict[str, str], more: dict[str, int], reason: str | None
) -> None:
    first = _narrow(tmp_path, registry, amd64="a1", arm64="b1", s390x="c1")
    (s390x,) = digests(registry.tags[KEY], "s390x")
    new = registry.index(KEY, **moved).descriptor.digest
    changes = upgrade(loaded(tmp_path, WIDE), first, how(registry, "2026-02-01", **more))
    assert pins(changes) == [*pins(first), f"linux/s390x {s390x}"]
    if reason and moved["arm64"] == "b2":
        assert changes.held == {KEY: reason.format(new=new, key=KEY)}
    assert list(changes.held) == [KEY]


@pytest.mark.parametrize("gone", [False, True])
def test_a_new_platform_that_the_locked_index_does_not_have_moves_with_the_others(
    tmp_path: Path, registry: MemoryRegistry, gone: bool
) -> None:
    first = _narrow(tmp_path, registry, amd64="a1", arm64="b1")
    wide = loaded(tmp_path, WIDE)
    new = registry.index(KEY, amd64="a2", arm64="b2", s390x="c2")
    if gone:
        registry.delete(first.parents[KEY].digest)
    why = "no longer exists" if gone else "has no image for it"
    failed = lock(wide, first, how(registry)).failed
    assert isinstance(failed, CheckError)
    assert str(failed) == (
        f"bases/app/base.yaml:2:9: {KEY} cannot be pinned for linux/s390x: the locked index {why};"
        f" run `dfgen lock --upgrade {KEY}`, which moves all platforms together"
    )
    young = upgrade(wide, first, how(registry, "2026-02-01", min_age=7), [KEY])
    assert pins(young) == pins(first)
    assert young.held[KEY].endswith("; it can be pinned from 2026-02-08; linux/s390x has no pin until then")
    changes = upgrade(wide, first, how(registry), [KEY])
    assert pins(changes) == [
        f"linux/{alias} {digest}"
        for alias, digest in zip(
            ("amd64", "arm64", "s390x"), digests(new, "amd64", "arm64", "s390x"), strict=True
        )
    ]


def test_a_new_platform_of_the_same_images_moves_no_pin_and_is_not_held(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    first = _narrow(tmp_path, registry, amd64="a1", arm64="b1")
    new = registry.index(KEY, amd64="a1", arm64="b1", s390x="c2")
    changes = upgrade(loaded(tmp_path, WIDE), first, how(registry, "2026-02-01", min_age=7))
    (s390x,) = digests(new, "s390x")
    assert (pins(changes), changes.held) == ([*pins(first), f"linux/s390x {s390x}"], {})


def test_a_new_platform_that_the_tag_does_not_have_is_invalid_input(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    first = _narrow(tmp_path, registry, amd64="a1", arm64="b1")
    changes = upgrade(loaded(tmp_path, WIDE), first, how(registry))
    assert isinstance(changes.failed, InputError)
    assert changes.lock == first


THIRD = "docker.io/library/third:1"
THREE = FAMILY + f"parents: {{a: '{OTHER}', b: '{THIRD}'}}\n"


def _lose_tag(registry: MemoryRegistry) -> None:
    del registry.tags[KEY]


def _lose_platform(registry: MemoryRegistry) -> None:
    registry.index(KEY, amd64="a2")


def _change_kind(registry: MemoryRegistry) -> None:
    registry.single(KEY, {"name": "a chart"})


def _limit(registry: MemoryRegistry) -> None:
    registry.broken[KEY] = ExternalError("rate-limited")


FAILURES = [
    (_lose_tag, 1, f"parent {KEY} no longer exists; its pins stay; use another tag"),
    (
        _lose_platform,
        1,
        f"parent {KEY} no longer has an image for linux/arm64; it has linux/amd64; its pins stay",
    ),
    (_change_kind, 1, f"parent {KEY}: is not an image: its configuration ({CONFIG}) has no platform"),
    (_limit, 3, "rate-limited"),
]


@pytest.mark.parametrize(("break_", "status", "message"), FAILURES)
def test_a_parent_that_fails_does_not_stop_the_others(
    tmp_path: Path,
    registry: MemoryRegistry,
    break_: Callable[[MemoryRegistry], None],
    status: int,
    message: str,
) -> None:
    registry.index(THIRD, amd64="t1", arm64="u1")
    catalog = loaded(tmp_path, THREE)
    first = first_lock(catalog, registry)
    for key in (OTHER, THIRD):
        registry.index(key, amd64="x2", arm64="y2")
    break_(registry)
    changes = upgrade(catalog, first, how(registry))
    assert [moved.key for moved in changes.moved] == [OTHER, THIRD]
    assert changes.lock.parents[KEY] == first.parents[KEY]
    assert changes.failed
    assert (changes.failed.exit_code, str(changes.failed)) == (status, f"bases/app/base.yaml:2:9: {message}")
    with pytest.raises(DfgenError) as caught:
        check(catalog, changes.lock, how(registry))
    assert (caught.value.exit_code, str(caught.value)) == (status, f"bases/app/base.yaml:2:9: {message}")


def test_a_family_that_cannot_be_read_does_not_stop_the_others(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    def damaged(key: str) -> LockedParent:
        raise CheckError(f"dist/: {key} is damaged")

    child = "template: t.j2\nparent: app:1.0\nversions: ['2']\n"
    changes = lock(loaded(tmp_path, FAMILY, child=child), Lock(), how(registry, built=damaged))
    assert (list(changes.lock.parents), str(changes.failed)) == ([KEY], "dist/: app:1.0 is damaged")


def _written(tmp_path: Path, tag: str, digest: Digest) -> tuple[Catalog, str]:
    key = f"docker.io/library/busybox:{tag}@{digest}"
    return loaded(tmp_path, FAMILY.replace(KEY, key)), key


def test_a_tag_that_moved_beside_its_digest_is_reported(tmp_path: Path, registry: MemoryRegistry) -> None:
    old = registry.tags[KEY].descriptor.digest
    catalog, key = _written(tmp_path, "1.36", old)
    first = first_lock(catalog, registry)
    assert list(first.parents) == [key]
    check(catalog, first, how(registry))
    assert registry.requests[0] == f"HEAD {KEY}"
    new = registry.index(KEY, amd64="a2", arm64="b2").descriptor.digest
    advice = f"the tag 1.36 points to another digest; to use it, write `{KEY}@{new}` in base.yaml"
    with pytest.raises(CheckError) as caught:
        check(catalog, first, how(registry))
    assert str(caught.value) == f"bases/app/base.yaml:2:9: {key}: {advice}"
    for changes in (upgrade(catalog, first, how(registry)), lock(catalog, Lock(), how(registry))):
        assert (changes.held, changes.lock, changes.failed) == ({key: advice}, first, None)
    followed, key = _written(tmp_path, "1.36", new)
    changes = lock(followed, first, how(registry))
    assert (list(changes.lock.parents), changes.failed) == ([key], None)
    check(followed, changes.lock, how(registry))


@pytest.mark.parametrize("before", ["with a digest", "with a tag only"])
def test_a_new_tag_beside_the_digest_of_the_old_one_is_refused(
    tmp_path: Path, registry: MemoryRegistry, before: str
) -> None:
    old = registry.tags[KEY].descriptor.digest
    catalog = (
        _written(tmp_path, "1.36", old)[0] if before == "with a digest" else loaded(tmp_path / "old", FAMILY)
    )
    first = first_lock(catalog, registry)
    new = registry.index("docker.io/library/busybox:1.37", amd64="a2", arm64="b2").descriptor.digest
    bumped, key = _written(tmp_path, "1.37", old)
    for changes in (lock(bumped, first, how(registry)), upgrade(bumped, first, how(registry))):
        assert (changes.lock, changes.kept) == (first, tuple(first.parents))
        assert isinstance(changes.failed, InputError)
        assert str(changes.failed) == (
            f"bases/app/base.yaml:2:9: parent {key} has the digest of the tag 1.36, but the tag 1.37 points to"
            f" another digest; to use it, write `docker.io/library/busybox:1.37@{new}` in base.yaml"
        )
    same = registry.tag("docker.io/library/busybox:1.37", registry.tags[KEY])
    assert lock(bumped, first, how(registry)).lock.parents[key].digest == same.descriptor.digest


def test_a_tag_that_does_not_exist_beside_a_digest_is_reported(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    catalog, key = _written(tmp_path, "1.35", registry.tags[KEY].descriptor.digest)
    changes = lock(catalog, Lock(), how(registry))
    reason = "the tag 1.35 does not exist; remove it, or write the tag of the digest"
    assert (changes.held, list(changes.lock.parents)) == ({key: reason}, [key])


@given(
    st.dictionaries(st.sampled_from([KEY, OTHER, THIRD, "docker.io/library/gone:1"]), st.integers(0, 1)),
    st.lists(st.sampled_from([KEY, OTHER, THIRD]), unique=True),
    st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_the_lock_changes_exactly_if_a_pin_moves_or_is_removed(
    three: Catalog, locked: dict[str, int], missing: list[str], moves: bool
) -> None:
    registry = MemoryRegistry()
    for key in (KEY, OTHER, THIRD):
        registry.index(key, amd64=f"{key}a", arm64=f"{key}b")
    entries = first_lock(three, registry).parents
    template = entries[KEY]
    old = Lock(
        {
            key: replace(entries.get(key, template), first_seen=f"2026-01-0{at + 1}")
            for key, at in locked.items()
        }
    )
    for key in missing:
        del registry.tags[key]
    if moves and OTHER not in missing:
        registry.index(OTHER, amd64="2", arm64="3")
    for changes in (lock(three, old, how(registry)), upgrade(three, old, how(registry))):
        differs = changes.lock.to_text() != old.to_text()
        assert differs == bool(changes.moved or changes.removed)
        assert not (changes.removed and changes.kept)
        # Nothing that was pinned is lost while a parent has no pin.
        unpinned = {KEY, OTHER, THIRD} - set(changes.lock.parents)
        assert not unpinned or set(old.parents) <= set(changes.lock.parents)


@pytest.fixture
def three(tmp_path: Path) -> Catalog:
    return loaded(tmp_path, THREE)
