"""The sizes and dates that `dfgen lock --upgrade` shows, and the requests they cost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dfgen.oci.manifest import OCI_INDEX
from tests.fakes.http import Fault
from tests.fakes.images import AMD64, ARM64, image, index_of
from tests.fakes.registry import FakeRegistry
from tests.unit.catalogs import write
from tests.unit.cli.run import dfgen

_OLD, _NEW = "2025-01-02T03:04:05Z", "2025-02-03T00:00:00.123Z"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as running:
        yield running


def _publish(registry: FakeRegistry, layers: Sequence[bytes], created: object) -> list[str]:
    config = {"created": created}
    both = [image(platform, layers, config=config) for platform in (AMD64, ARM64)]
    entries = [registry.add_image("team/os", one) for one in both]
    registry.add_manifest("team/os", index_of(entries), OCI_INDEX, tag="1")
    return [str(entry.digest) for entry in entries]


@pytest.fixture
def old(registry: FakeRegistry) -> list[str]:
    return _publish(registry, [b"a" * 1500], _OLD)


@pytest.fixture
def root(tmp_path: Path, registry: FakeRegistry, old: list[str]) -> Path:
    base = f"template: t.j2\nparent: {registry.address}/team/os:1\nversions: ['1']\n"
    write(tmp_path, {"bases/app/base.yaml": base})
    assert dfgen("-C", tmp_path, "lock").status == 0
    registry.forget()
    return tmp_path


def test_an_upgrade_shows_sizes_and_dates_before_and_after(
    root: Path, registry: FakeRegistry, old: list[str]
) -> None:
    new = _publish(registry, [b"a" * 1500, b"b" * 500], _NEW)
    key = f"{registry.address}/team/os:1"
    done = dfgen("-C", root, "--format", "markdown", "lock", "--upgrade", "--dry-run")
    moved = "1.5 kB → 2.0 kB | 2025-01-02 → 2025-02-03"
    assert done.out.splitlines() == [
        "| parent | platform | old | new | rebuilds | size | created |",
        "|---|---|---|---|---|---|---|",
        f"| {key} | linux/amd64 | {old[0]} | {new[0]} | app:1@amd64 | {moved} |",
        f"| {key} | linux/arm64 | {old[1]} | {new[1]} | app:1@arm64 | {moved} |",
    ]
    # One GET for the index; manifest and configuration for both platforms, before and after, each once.
    assert (registry.count("HEAD"), registry.count("GET")) == (1, 1 + 2 * 2 * 2)
    rows = json.loads(dfgen("-C", root, "--format", "json", "lock", "--upgrade").out)
    assert [(row["size"], row["created"]) for row in rows] == [
        ({"old": 1500, "new": 2000}, {"old": "2025-01-02", "new": "2025-02-03"})
    ] * 2


def test_a_deleted_old_image_is_unknown(root: Path, registry: FakeRegistry, old: list[str]) -> None:
    new = _publish(registry, [b"b"], _NEW)
    for digest in old:
        del registry.manifests["team/os"][digest]
    done = dfgen("-C", root, "--format", "markdown", "lock", "--upgrade")
    assert (done.status, done.lines) == (0, ["bases/lock.json: 1 parent, 1 changed"])
    key = f"{registry.address}/team/os:1"
    assert done.out.splitlines()[2] == (
        f"| {key} | linux/amd64 | {old[0]} | {new[0]} | app:1@amd64 | unknown → 1 B | unknown → 2025-02-03 |"
    )


@pytest.mark.parametrize("created", [None, 7, "", "yesterday", "\x1b[31m", ["2025-01-02T00:00:00Z"]])
def test_an_invalid_date_is_unknown(root: Path, registry: FakeRegistry, created: object) -> None:
    _publish(registry, [b"b"], created)
    (row, _) = json.loads(dfgen("-C", root, "--format", "json", "lock", "--upgrade").out)
    assert row["created"] == {"old": "2025-01-02", "new": None}
    assert row["size"] == {"old": 1500, "new": 1}


def test_a_forbidden_configuration_of_an_old_image_is_unknown(root: Path, registry: FakeRegistry) -> None:
    for platform in (AMD64, ARM64):
        config = image(platform, [b"a" * 1500], config={"created": _OLD}).manifest.config
        registry.script("GET", f"/blobs/{config.digest}", Fault(status=403), times=4)
    _publish(registry, [b"b"], _NEW)
    (row, _) = json.loads(dfgen("-C", root, "--format", "json", "lock", "--upgrade").out)
    assert row["created"] == {"old": None, "new": "2025-02-03"}
    assert row["size"] == {"old": 1500, "new": 1}


def test_a_pin_does_not_move_to_an_image_with_a_forbidden_configuration(
    root: Path, registry: FakeRegistry
) -> None:
    _publish(registry, [b"b"], _NEW)
    before = (root / "bases/lock.json").read_text()
    config = image(AMD64, [b"b"], config={"created": _NEW}).manifest.config
    registry.script("GET", f"/blobs/{config.digest}", Fault(status=403), times=4)
    done = dfgen("-C", root, "lock", "--upgrade")
    assert (done.status, (root / "bases/lock.json").read_text()) == (3, before)
    assert done.lines == [
        "bases/lock.json: 1 parent, 0 changed",
        f"bases/app/base.yaml:2:9: {registry.address}: forbidden to pull the blob {registry.address}/team/os@{config.digest};"
        f" ask for access, or log in as another user with `docker login {registry.address}`",
    ]


def test_unchanged_pins_cost_no_request_and_new_ones_two(root: Path, registry: FakeRegistry) -> None:
    assert dfgen("-C", root, "lock", "--upgrade").status == 0
    assert (registry.count("HEAD"), registry.count("GET")) == (1, 0)
    (root / "bases/lock.json").unlink()
    registry.forget()
    done = dfgen("-C", root, "--format", "markdown", "lock", "--upgrade")
    assert done.out.splitlines()[2].endswith(" | app:1@amd64 |  |  |")
    assert (registry.count("HEAD"), registry.count("GET")) == (0, 1 + 2 * 2)


def test_pins_that_go_back_in_time_are_reported(root: Path, registry: FakeRegistry) -> None:
    _publish(registry, [b"b"], "2024-01-01T00:00:00Z")
    key = f"{registry.address}/team/os:1"
    reason = "goes back in time: created 2025-01-02 → 2024-01-01; check why before you use it"
    assert dfgen("-C", root, "lock", "--upgrade").lines == [
        f"{key}: linux/amd64 {reason}",
        f"{key}: linux/arm64 {reason}",
        "bases/lock.json: 1 parent, 1 changed",
    ]


def test_a_minimum_age_remembers_in_dist_and_changes_no_file_in_git(
    root: Path, registry: FakeRegistry
) -> None:
    new = _publish(registry, [b"b"], "not a date")
    before = (root / "bases/lock.json").read_text()
    for words in (("--dry-run",), ()):
        done = dfgen("-C", root, "lock", "--upgrade", "--min-age", "2w", *words)
        assert done.status == 0
        assert " has no creation date (keep dist/seen.json); it can be pinned from " in done.lines[0]
        assert (root / "dist/seen.json").exists() == (not words)
    assert (root / "bases/lock.json").read_text() == before
    (entry,) = json.loads((root / "dist/seen.json").read_text())["parents"].values()
    assert [sorted(one) for one in entry] == [["age_from", "digest", "first_seen", "last_seen"]] * 2
    assert dfgen("-C", root, "lock", "--upgrade").status == 0
    assert new[0] in (root / "bases/lock.json").read_text()
