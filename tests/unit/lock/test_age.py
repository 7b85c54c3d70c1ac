"""--min-age: a new digest is noted as candidate, and pinned once it is old enough."""

from __future__ import annotations

import pytest

from dfgen.catalog.lockfile import Candidate, parse
from dfgen.catalog.model import Catalog
from dfgen.commands.lock import check, upgrade
from dfgen.errors import CheckError
from tests.unit.lock.fakes import MemoryRegistry, digests
from tests.unit.lock.parents import KEY, first_lock, how, pins


def test_a_new_digest_is_held_back_and_noted(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    new = registry.index(KEY, amd64="a2", arm64="b2")
    changes = upgrade(catalog, first, how(registry, "2026-02-01", min_age=3))
    assert changes.moved == ()
    assert changes.held == {
        KEY: f"{new.descriptor.digest} was first seen on 2026-02-01; it can be pinned from 2026-02-04"
    }
    assert pins(changes) == pins(first)
    assert changes.lock.parents[KEY].candidate == Candidate(new.descriptor.digest, "2026-02-01")
    assert parse(changes.lock.to_text()).to_text() == changes.lock.to_text()


def test_a_candidate_is_pinned_once_old_enough_and_keeps_its_date(
    catalog: Catalog, registry: MemoryRegistry
) -> None:
    first = first_lock(catalog, registry)
    new = registry.index(KEY, amd64="a2", arm64="b2")
    noted = parse(upgrade(catalog, first, how(registry, "2026-02-01", min_age=3)).lock.to_text())
    still = upgrade(catalog, noted, how(registry, "2026-02-03", min_age=3))
    assert (still.moved, still.lock.to_text()) == ((), noted.to_text())
    pinned = upgrade(catalog, noted, how(registry, "2026-02-04", min_age=3)).lock.parents[KEY]
    assert (pinned.digest, pinned.first_seen, pinned.candidate) == (new.descriptor.digest, "2026-02-01", None)


def test_a_newer_digest_restarts_the_wait(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    registry.index(KEY, amd64="a2", arm64="b2")
    noted = upgrade(catalog, first, how(registry, "2026-02-01", min_age=3)).lock
    newer = registry.index(KEY, amd64="a3", arm64="b3")
    later = upgrade(catalog, noted, how(registry, "2026-02-04", min_age=3))
    assert later.moved == ()
    assert later.lock.parents[KEY].candidate == Candidate(newer.descriptor.digest, "2026-02-04")


def test_a_tag_that_moves_back_has_no_candidate(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    registry.index(KEY, amd64="a2", arm64="b2")
    noted = upgrade(catalog, first, how(registry, "2026-02-01", min_age=3)).lock
    registry.index(KEY, amd64="a1", arm64="b1")
    back = upgrade(catalog, noted, how(registry, "2026-02-02", min_age=3))
    assert (back.moved, back.lock.to_text()) == ((), first.to_text())


def test_without_a_minimum_age_it_is_pinned_immediately(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    index = registry.index(KEY, amd64="a2", arm64="b2")
    noted = upgrade(catalog, first, how(registry, "2026-02-01", min_age=3)).lock
    changes = upgrade(catalog, noted, how(registry, "2026-02-02"))
    amd64, arm64 = digests(index, "amd64", "arm64")
    assert pins(changes) == [f"linux/amd64 {amd64}", f"linux/arm64 {arm64}"]


def test_check_fails_for_a_held_back_parent(catalog: Catalog, registry: MemoryRegistry) -> None:
    first = first_lock(catalog, registry)
    registry.index(KEY, amd64="a2", arm64="b2")
    noted = upgrade(catalog, first, how(registry, "2026-02-01", min_age=3)).lock
    with pytest.raises(CheckError) as caught:
        check(catalog, noted, how(registry))
    assert f"{KEY} has moved: locked {first.parents[KEY].digest}" in str(caught.value)
