"""--min-age: the newest digest that is old enough is pinned, also by a machine that remembers nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfgen.catalog.model import Catalog
from dfgen.commands import sightings
from dfgen.commands.lock import LockChanges, check, upgrade
from dfgen.commands.sightings import Sighting, Sightings
from dfgen.errors import CheckError, InputError
from dfgen.oci.digest import Digest
from tests.unit.lock.fakes import MemoryRegistry
from tests.unit.lock.parents import KEY, OTHER, first_lock, how, pins

PINNED = "2026-01-31"  # when the fixtures are pinned
SOURCE = ("", "1970-01-01T00:00:00Z", "1980-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "soon", "2026-01-02")

Push = Callable[[str, str], Digest]


@pytest.fixture
def push(registry: MemoryRegistry) -> Push:
    def publish(build: str, created: str) -> Digest:
        return registry.index(KEY, created, amd64=f"a{build}", arm64=f"b{build}").descriptor.digest

    return publish


def _day(number: int) -> str:
    """Return a date; day 0 is when the fixtures are pinned."""
    return str(date.fromisoformat(PINNED) + timedelta(days=number))


def _held(changes: LockChanges) -> str:
    assert list(changes.held) == [KEY]
    return changes.held[KEY]


def test_a_new_image_is_held_back_by_its_creation_date(
    catalog: Catalog, registry: MemoryRegistry, push: Push
) -> None:
    first = first_lock(catalog, registry)
    new = push("2", "2026-02-10T12:00:00Z")
    changes = upgrade(catalog, first, how(registry, "2026-02-12", min_age=3))
    assert (changes.moved, changes.lock) == ((), first)
    assert _held(changes) == f"{new} was created on 2026-02-10; it can be pinned from 2026-02-13"
    taken = upgrade(catalog, first, how(registry, "2026-02-13", min_age=3)).lock.parents[KEY]
    assert (taken.digest, taken.first_seen) == (new, "2026-02-13")


def test_an_old_image_is_as_young_as_the_tag_that_points_to_it(
    catalog: Catalog, registry: MemoryRegistry, push: Push
) -> None:
    first = first_lock(catalog, registry)
    new = push("2", "2025-01-01T00:00:00Z")
    changes = upgrade(catalog, first, how(registry, _day(1), min_age=7))
    assert _held(changes) == f"{new} appeared after {_day(0)}; it can be pinned from {_day(8)}"
    assert upgrade(catalog, first, how(registry, _day(8), min_age=7)).lock.parents[KEY].digest == new


def test_a_machine_that_remembers_counts_from_the_first_sight(
    catalog: Catalog, registry: MemoryRegistry, push: Push
) -> None:
    first = first_lock(catalog, registry)
    before = upgrade(catalog, first, how(registry, _day(50), min_age=3))
    new = push("2", "2025-01-01T00:00:00Z")
    noted = upgrade(catalog, first, how(registry, _day(51), min_age=3, seen=before.seen))
    assert _held(noted) == f"{new} appeared after {_day(50)}; it can be pinned from {_day(54)}"
    later = upgrade(catalog, first, how(registry, _day(53), min_age=3, seen=noted.seen))
    assert _held(later) == f"{new} was first seen on {_day(51)}; it can be pinned from {_day(54)}"
    taken = upgrade(catalog, first, how(registry, _day(54), min_age=3, seen=later.seen)).lock.parents[KEY]
    assert (taken.digest, taken.first_seen) == (new, _day(51))


@pytest.mark.parametrize("created", SOURCE)
def test_an_image_without_a_plausible_date_counts_from_the_first_sight(
    catalog: Catalog, registry: MemoryRegistry, push: Push, created: str
) -> None:
    first = first_lock(catalog, registry)
    new = push("2", created)
    noted = upgrade(catalog, first, how(registry, _day(50), min_age=3))
    assert _held(noted) == (
        f"{new} was first seen on {_day(50)} and has no creation date (keep dist/seen.json);"
        f" it can be pinned from {_day(53)}"
    )
    taken = upgrade(catalog, first, how(registry, _day(53), min_age=3, seen=noted.seen))
    assert taken.lock.parents[KEY].digest == new


@pytest.mark.parametrize("created", ["honest", "2025-01-01T00:00:00Z", "1970-01-01T00:00:00Z"])
def test_a_tag_that_moves_more_often_than_the_age_moves_the_pin(
    catalog: Catalog, registry: MemoryRegistry, push: Push, created: str
) -> None:
    lock, pushed = first_lock(catalog, registry), dict[Digest, int]()
    seen: Sightings = {}
    pinned: list[int] = []
    for day in range(1, 22):
        if day % 2 == 0:
            at = f"{_day(day)}T01:00:00Z" if created == "honest" else created
            pushed[push(str(day), at)] = day
        changes = upgrade(catalog, lock, how(registry, _day(day), min_age=3, seen=seen))
        lock, seen = changes.lock, changes.seen
        if changes.moved:
            pinned.append(pushed[lock.parents[KEY].digest])
            assert day - pinned[-1] == 3
    assert pinned == [2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert len(seen[KEY]) <= 4


def test_a_new_runner_each_night_takes_a_digest_on_the_same_day_as_one_that_remembers(
    catalog: Catalog, registry: MemoryRegistry, push: Push
) -> None:
    first = first_lock(catalog, registry)
    new = push("2", f"{_day(2)}T01:00:00Z")
    seen: Sightings = {}
    for day in range(2, 9):
        forgets = upgrade(catalog, first, how(registry, _day(day), min_age=5))
        remembers = upgrade(catalog, first, how(registry, _day(day), min_age=5, seen=seen))
        seen = remembers.seen
        expected = new if day >= 7 else first.parents[KEY].digest
        assert {one.lock.parents[KEY].digest for one in (forgets, remembers)} == {expected}
        assert (forgets.lock == first) == (day < 7)  # no pull request in which nothing moves


_PUSHES = st.lists(st.tuples(st.integers(1, 30), st.integers(-40, 0)), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(_PUSHES, st.integers(1, 10), st.booleans())
def test_no_digest_is_pinned_before_its_age(
    catalog: Catalog, pushes: Sequence[tuple[int, int]], min_age: int, remembers: bool
) -> None:
    """Pushes on any day, of images built on that day or, for a machine that remembers, before it."""
    registry = MemoryRegistry()
    registry.index(KEY, amd64="a0", arm64="b0")
    registry.index(OTHER, amd64="x", arm64="y")
    lock, pushed = first_lock(catalog, registry), dict[Digest, int]()
    seen: Sightings = {}
    for day in range(1, 35):
        for at, (_, earlier) in enumerate(push for push in pushes if push[0] == day):
            created = f"{_day(day + (earlier if remembers else 0))}T00:00:00Z"
            index = registry.index(KEY, created, amd64=f"a{day} {at}", arm64=f"b{day} {at}")
            pushed[index.descriptor.digest] = day
        changes = upgrade(catalog, lock, how(registry, _day(day), min_age=min_age, seen=seen))
        lock, seen = changes.lock, changes.seen if remembers else {}
        if changes.moved:
            assert day - pushed[lock.parents[KEY].digest] >= min_age


def test_a_digest_that_the_tag_left_for_an_older_one_is_not_taken(
    catalog: Catalog, registry: MemoryRegistry, push: Push
) -> None:
    first = first_lock(catalog, registry)
    seen: Sightings = {}
    good = ""
    for day, build in ((1, "2"), (2, "bad"), (3, "2")):
        digest = push(build, f"{_day(1 if build == '2' else 2)}T01:00:00Z")
        good = str(digest) if build == "2" else good
        seen = upgrade(catalog, first, how(registry, _day(day), min_age=9, seen=seen)).seen
    taken = upgrade(catalog, first, how(registry, _day(30), min_age=9, seen=seen))
    assert str(taken.lock.parents[KEY].digest) == good
    registry.index(KEY, amd64="a1", arm64="b1")
    back = upgrade(catalog, first, how(registry, _day(31), min_age=9, seen=taken.seen))
    assert (back.moved, back.held, [one.digest for one in back.seen[KEY]]) == (
        (),
        {},
        [first.parents[KEY].digest],
    )


def test_a_deleted_candidate_is_skipped(catalog: Catalog, registry: MemoryRegistry, push: Push) -> None:
    first = first_lock(catalog, registry)
    seen: Sightings = {}
    digests = []
    for day in (1, 2, 3):
        digests.append(push(str(day), f"{_day(day)}T01:00:00Z"))
        seen = upgrade(catalog, first, how(registry, _day(day), min_age=5, seen=seen)).seen
    registry.delete(digests[1])
    taken = upgrade(catalog, first, how(registry, _day(7), min_age=5, seen=seen)).lock.parents[KEY]
    assert (taken.digest, taken.first_seen) == (digests[0], _day(1))


def test_an_index_that_lists_a_deleted_image_is_an_error(
    catalog: Catalog, registry: MemoryRegistry, push: Push
) -> None:
    first = first_lock(catalog, registry)
    push("2", "2026-02-02T00:00:00Z")
    index = registry.tags[KEY]
    (entry, *_) = index.manifests  # type: ignore[union-attr]
    registry.delete(entry.digest)
    failed = upgrade(catalog, first, how(registry, "2026-02-03", min_age=3)).failed
    assert isinstance(failed, CheckError)
    assert str(failed) == (
        f"bases/app/base.yaml:2:9: the index of {KEY} lists {entry.digest} for {entry.platform},"
        " which does not exist"
    )


def test_an_unevenly_moved_parent_stays_held_whatever_its_age(
    catalog: Catalog, registry: MemoryRegistry
) -> None:
    first = first_lock(catalog, registry)
    registry.index(KEY, amd64="a2", arm64="b1")
    changes = upgrade(catalog, first, how(registry, "2026-03-01", min_age=3))
    assert _held(changes).startswith("only linux/amd64 moved, not linux/arm64; wait, or run ")


def test_without_a_minimum_age_it_is_pinned_immediately(
    catalog: Catalog, registry: MemoryRegistry, push: Push
) -> None:
    first = first_lock(catalog, registry)
    new = push("2", f"{_day(1)}T00:00:00Z")
    seen = upgrade(catalog, first, how(registry, _day(1), min_age=3)).seen
    changes = upgrade(catalog, first, how(registry, _day(1), seen=seen))
    assert (changes.lock.parents[KEY].digest, changes.lock.parents[KEY].first_seen) == (new, _day(1))
    assert changes.seen == seen


def test_dating_costs_two_requests_per_platform_once(
    catalog: Catalog, registry: MemoryRegistry, push: Push
) -> None:
    first = first_lock(catalog, registry)
    push("2", f"{_day(1)}T00:00:00Z")
    seen = upgrade(catalog, first, how(registry, _day(1), min_age=3)).seen
    assert len(registry.requests) == 2 + 1 + 4  # a HEAD for each parent, the index, two images
    registry.requests.clear()
    upgrade(catalog, first, how(registry, _day(2), min_age=3, seen=seen))
    assert len(registry.requests) == 2 + 1


def test_check_fails_for_a_held_back_parent(catalog: Catalog, registry: MemoryRegistry, push: Push) -> None:
    first = first_lock(catalog, registry)
    new = push("2", f"{_day(1)}T00:00:00Z")
    changes = upgrade(catalog, first, how(registry, _day(1), min_age=3))
    assert pins(changes) == pins(first)
    with pytest.raises(CheckError) as caught:
        check(catalog, changes.lock, how(registry))
    assert f"{KEY} has moved: locked {first.parents[KEY].digest}, now {new}" in str(caught.value)


def test_sightings_are_read_as_they_were_written(tmp_path: Path) -> None:
    one = Sighting(digest=Digest.of(b"1"), first_seen=_day(1), last_seen=_day(3), age_from=_day(0))
    sightings.write(tmp_path / "dist", {}, {KEY: (one,)})
    assert sightings.read(tmp_path / "dist") == {KEY: (one,)}
    before = (tmp_path / "dist/seen.json").stat()
    sightings.write(tmp_path / "dist", {KEY: (one,)}, {KEY: (one,)})
    assert (tmp_path / "dist/seen.json").stat() == before


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version": 2}', '{"version": 1, "parents": {"a": [{"digest": "x"}]}}', "[" * 9999],
)
def test_damaged_sightings_are_reported_with_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "seen.json").write_text(text)
    with pytest.raises(InputError) as caught:
        sightings.read(tmp_path)
    (problem,) = caught.value.problems
    assert str(problem.place) == str(tmp_path / "seen.json")
    assert problem.message.startswith("is damaged: ")
    assert problem.message.endswith("; delete it; ages then count from the dates in the images")
