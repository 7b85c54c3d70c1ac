"""What a tag points at is noted, and taken only once it has been seen for long enough."""

from __future__ import annotations

import pytest

from dfgen.catalog.lockfile import Candidate, parse
from dfgen.catalog.model import Catalog
from dfgen.commands.lock import check, upgrade
from dfgen.errors import CheckError
from tests.unit.lock.fakes import MemoryRegistry, digests
from tests.unit.lock.parents import KEY, first_lock, how, pins


def test_what_was_just_published_is_held_back_and_noted(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    new = registry.index(KEY, amd64="a2", arm64="b2")
    changes = upgrade(catalog, first, how(registry, "2026-02-01", min_age=3))
    assert changes.moved == ()
    assert changes.held == {
        KEY: f"{new.descriptor.digest} was first seen on 2026-02-01; it is taken from 2026-02-04 on"
    }
    assert pins(changes) == pins(first)
    assert changes.lock.parents[KEY].candidate == Candidate(new.descriptor.digest, "2026-02-01")
    assert parse(changes.lock.to_text()).to_text() == changes.lock.to_text()


def test_it_is_taken_when_it_is_old_enough_with_the_date_on_which_it_was_first_seen(
    catalog: Catalog, registry: MemoryRegistry
) -> None:
    first = first_lock(catalog, registry)
    new = registry.index(KEY, amd64="a2", arm64="b2")
    noted = parse(upgrade(catalog, first, how(registry, "2026-02-01", min_age=3)).lock.to_text())
    still = upgrade(catalog, noted, how(registry, "2026-02-03", min_age=3))
    assert (still.moved, still.lock.to_text()) == ((), noted.to_text())
    taken = upgrade(catalog, noted, how(registry, "2026-02-04", min_age=3)).lock.parents[KEY]
    assert (taken.digest, taken.first_seen, taken.candidate) == (new.descriptor.digest, "2026-02-01", None)


def test_what_replaces_it_begins_anew(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    registry.index(KEY, amd64="a2", arm64="b2")
    noted = upgrade(catalog, first, how(registry, "2026-02-01", min_age=3)).lock
    newer = registry.index(KEY, amd64="a3", arm64="b3")
    later = upgrade(catalog, noted, how(registry, "2026-02-04", min_age=3))
    assert later.moved == ()
    assert later.lock.parents[KEY].candidate == Candidate(newer.descriptor.digest, "2026-02-04")


def test_a_tag_that_moves_back_is_waited_for_no_more(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    registry.index(KEY, amd64="a2", arm64="b2")
    noted = upgrade(catalog, first, how(registry, "2026-02-01", min_age=3)).lock
    registry.index(KEY, amd64="a1", arm64="b1")
    back = upgrade(catalog, noted, how(registry, "2026-02-02", min_age=3))
    assert (back.moved, back.lock.to_text()) == ((), first.to_text())


def test_without_an_age_it_is_taken_at_once(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    index = registry.index(KEY, amd64="a2", arm64="b2")
    noted = upgrade(catalog, first, how(registry, "2026-02-01", min_age=3)).lock
    changes = upgrade(catalog, noted, how(registry, "2026-02-02"))
    amd64, arm64 = digests(index, "amd64", "arm64")
    assert pins(changes) == [f"linux/amd64 {amd64}", f"linux/arm64 {arm64}"]


def test_what_waits_is_drift_all_the_same(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    registry.index(KEY, amd64="a2", arm64="b2")
    noted = upgrade(catalog, first, how(registry, "2026-02-01", min_age=3)).lock
    with pytest.raises(CheckError) as caught:
        check(catalog, noted, how(registry))
    assert f"{KEY} moved: locked {first.parents[KEY].digest}" in str(caught.value)
