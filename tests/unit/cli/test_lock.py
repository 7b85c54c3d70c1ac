"""`dfgen lock` against a registry on loopback: output, lock file and requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfgen.catalog import lockfile as locks
from dfgen.catalog.lockfile import LOCK_FILE
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import OCI_INDEX, Descriptor
from tests.fakes.images import ARM64, image, index_of
from tests.fakes.registry import FakeRegistry
from tests.unit.catalogs import write
from tests.unit.cli.run import dfgen


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as running:
        _publish(running, b"first")
        yield running


def _publish(registry: FakeRegistry, layer: bytes) -> list[str]:
    """Publish an index of both architectures as team/os:1 and return its pins."""
    amd64 = registry.add_image("team/os", image(layers=(layer,)))
    arm64 = registry.add_image("team/os", image(ARM64, layers=(layer,)))
    entries = [amd64, arm64]
    registry.add_manifest("team/os", index_of(entries), "application/vnd.oci.image.index.v1+json", tag="1")
    return [str(entry.digest) for entry in entries]


@pytest.fixture
def root(tmp_path: Path, registry: FakeRegistry) -> Path:
    base = f"template: t.j2\nparent: {registry.address}/team/os:1\nversions: ['1']\n"
    return write(tmp_path, {"bases/app/base.yaml": base})


def _pins(root: Path) -> list[str]:
    entry, *_ = locks.read(root).parents.values()
    return [str(pin.digest) for _, pin in sorted(entry.platforms.items())]


def test_lock_writes_the_file_and_shows_the_pins(root: Path, registry: FakeRegistry) -> None:
    pins = _publish(registry, b"first")
    done = dfgen("-C", root, "--format", "json", "lock")
    assert (done.status, done.lines) == (0, [f"{LOCK_FILE}: 1 parent, 1 changed"])
    key = f"{registry.address}/team/os:1"
    assert json.loads(done.out) == [
        {"parent": key, "platform": "linux/amd64", "old": "", "new": pins[0], "rebuilds": ["app:1@amd64"]},
        {"parent": key, "platform": "linux/arm64", "old": "", "new": pins[1], "rebuilds": ["app:1@arm64"]},
    ]
    assert _pins(root) == pins
    assert dfgen("-C", root, "render").status == 0


def test_a_complete_lock_is_not_written_and_costs_no_request(root: Path, registry: FakeRegistry) -> None:
    assert dfgen("-C", root, "lock").status == 0
    before = (root / LOCK_FILE).stat()
    registry.forget()
    done = dfgen("-C", root, "lock")
    assert (done.status, done.lines) == (0, [f"{LOCK_FILE}: 1 parent, 0 changed"])
    after = (root / LOCK_FILE).stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert registry.count() == 0


def test_a_dry_run_writes_nothing(root: Path) -> None:
    done = dfgen("-C", root, "lock", "--dry-run")
    assert (done.status, done.lines) == (0, [f"{LOCK_FILE}: 1 parent, 1 would be changed"])
    assert not (root / LOCK_FILE).exists()


def test_check_fails_once_a_parent_moves_until_it_is_upgraded(root: Path, registry: FakeRegistry) -> None:
    assert dfgen("-C", root, "lock").status == 0
    assert dfgen("-C", root, "lock", "--check").lines == [f"{LOCK_FILE}: all pins exist and match their tags"]
    pins = _publish(registry, b"second")
    done = dfgen("-C", root, "lock", "--check")
    assert done.status == 1
    assert done.lines[0].startswith(
        f"bases/app/base.yaml:2:9: {registry.address}/team/os:1 has moved: locked sha256:"
    )
    assert dfgen("-C", root, "lock").status == 0
    assert _pins(root) != pins
    assert dfgen("-C", root, "lock", "--upgrade", f"{registry.address}/team/os:1").status == 0
    assert _pins(root) == pins
    assert dfgen("-C", root, "lock", "--check").status == 0


def test_a_partly_moved_parent_is_held_back(root: Path, registry: FakeRegistry) -> None:
    assert dfgen("-C", root, "lock").status == 0
    entries = [
        registry.add_image("team/os", image(layers=(b"second",))),
        registry.add_image("team/os", image(ARM64, layers=(b"first",))),
    ]
    registry.add_manifest("team/os", index_of(entries), "application/vnd.oci.image.index.v1+json", tag="1")
    key = f"{registry.address}/team/os:1"
    done = dfgen("-C", root, "lock", "--upgrade")
    assert (done.status, done.lines) == (
        0,
        [
            f"{key}: held back: only linux/amd64 moved, not linux/arm64; wait, or run"
            f" `dfgen lock --upgrade {key} --uneven`",
            f"{LOCK_FILE}: 1 parent, 0 changed",
        ],
    )
    done = dfgen("-C", root, "lock", "--upgrade", key, "--uneven")
    assert (done.status, done.lines) == (0, [f"{LOCK_FILE}: 1 parent, 1 changed"])
    assert _pins(root) == [str(entry.digest) for entry in entries]


@pytest.mark.parametrize("words", [("--uneven",), ("--upgrade", "--uneven"), ("--check", "--uneven")])
def test_uneven_requires_named_parents(root: Path, words: tuple[str, ...]) -> None:
    done = dfgen("-C", root, "lock", *words)
    assert done.status == 2
    assert "--uneven requires --upgrade PARENT; name the parents to move" in done.lines[-1]


def test_unused_entries_and_unbuilt_families_are_reported(root: Path) -> None:
    assert dfgen("-C", root, "lock").status == 0
    base = (root / "bases/app/base.yaml").read_text()
    child = "template: t.j2\nparent: app:1\nversions: ['2']\n"
    write(root, {"bases/app/base.yaml": base, "bases/child/base.yaml": child})
    assert dfgen("-C", root, "lock").lines == [
        "app:1: not built yet; run `dfgen build` to pin it",
        f"{LOCK_FILE}: 1 parent, 0 changed",
    ]
    lock = locks.read(root)
    more = lock.with_parents({"docker.io/library/unused:1": next(iter(lock.parents.values()))})
    write(root, {LOCK_FILE: more.to_text()})
    assert "docker.io/library/unused:1: unused pin removed" in dfgen("-C", root, "lock").lines
    assert locks.read(root) == lock


def test_a_missing_platform_is_an_error(root: Path, registry: FakeRegistry) -> None:
    other = f"template: t.j2\nparent: {registry.address}/team/os:1\nversions: ['1']\nplatforms: [s390x]\n"
    write(root, {"bases/wide/base.yaml": other})
    done = dfgen("-C", root, "lock")
    assert (done.status, done.lines[-1]) == (
        2,
        f"bases/app/base.yaml:2:9: parent {registry.address}/team/os:1 has no image for linux/s390x;"
        " it has linux/amd64 and linux/arm64",
    )


def test_an_unreachable_registry_is_named(tmp_path: Path) -> None:
    with FakeRegistry() as stopped:
        address = stopped.address
    base = f"template: t.j2\nparent: {address}/team/os:1\nversions: ['1']\n"
    write(tmp_path, {"bases/app/base.yaml": base})
    done = dfgen("-C", tmp_path, "lock", "--deadline", "0.2")
    assert done.status == 3
    assert address in done.lines[-1]
    assert not (tmp_path / LOCK_FILE).exists()


def test_a_built_family_is_pinned_from_the_layout(root: Path) -> None:
    child = "template: t.j2\nparent: app:1\nversions: ['2']\n"
    write(root, {"bases/child/base.yaml": child})
    layout = Layout(root / "dist")
    entries = [built.put_into(layout) for built in (image(), image(ARM64))]
    raw = index_of(entries)
    layout.add(raw)
    layout.tag({"app:1": Descriptor.of(raw, OCI_INDEX)})
    done = dfgen("-C", root, "lock")
    assert (done.status, done.lines) == (0, [f"{LOCK_FILE}: 2 parents, 2 changed"])
    locked = locks.read(root).parents["app:1"]
    assert locked.digest == Digest.of(raw)
    assert [str(pin.digest) for _, pin in sorted(locked.platforms.items())] == [
        str(one.digest) for one in entries
    ]
    assert dfgen("-C", root, "render", "child").status == 0


def test_a_family_that_is_not_merged_is_not_pinned(root: Path) -> None:
    write(root, {"bases/child/base.yaml": "template: t.j2\nparent: app:1\nversions: ['2']\n"})
    layout = Layout(root / "dist")
    layout.tag({"app:1": image().put_into(layout)})
    assert "app:1: not built yet; run `dfgen build` to pin it" in dfgen("-C", root, "lock").lines


def test_a_wrong_tag_keeps_the_pin_that_it_would_replace(root: Path, registry: FakeRegistry) -> None:
    assert dfgen("-C", root, "lock").status == 0
    before = (root / LOCK_FILE).read_text()
    base = (root / "bases/app/base.yaml").read_text()
    write(root, {"bases/app/base.yaml": base.replace("os:1", "os:1-nosuch")})
    done = dfgen("-C", root, "lock")
    key = f"{registry.address}/team/os:1"
    assert (done.status, done.lines) == (
        2,
        [
            f"{key}: unused pin kept until all parents are pinned",
            f"{LOCK_FILE}: 1 parent, 0 changed",
            f"bases/app/base.yaml:2:9: parent {key}-nosuch does not exist; check the name and the tag",
        ],
    )
    assert (root / LOCK_FILE).read_text() == before


def test_a_wrong_tag_of_a_mirror_names_both_references(root: Path, registry: FakeRegistry) -> None:
    base = "template: t.j2\nparent: team/os:2\nversions: ['1']\n"
    catalog = f"mirrors: {{docker.io: '{registry.address}'}}\n"
    write(root, {"bases/app/base.yaml": base, "bases/catalog.yaml": catalog})
    assert dfgen("-C", root, "lock").lines[-1] == (
        "bases/app/base.yaml:2:9: parent docker.io/team/os:2 does not exist (requested"
        f" {registry.address}/team/os:2 from the mirror); check the name and the tag"
    )


def test_removed_pins_are_counted(root: Path) -> None:
    assert dfgen("-C", root, "lock").status == 0
    lock = locks.read(root)
    more = lock.with_parents({"docker.io/library/unused:1": next(iter(lock.parents.values()))})
    write(root, {LOCK_FILE: more.to_text()})
    for words, would in ((("--dry-run",), "would be "), ((), "")):
        assert dfgen("-C", root, "lock", *words).lines == [
            f"docker.io/library/unused:1: unused pin {would}removed",
            f"{LOCK_FILE}: 1 parent, 0 {would}changed, 1 {would}removed",
        ]


def test_an_upgrade_writes_the_parents_that_moved_if_another_one_fails(
    root: Path, registry: FakeRegistry
) -> None:
    base = f"template: t.j2\nparent: {registry.address}/team/os:2\nversions: ['1']\n"
    write(root, {"bases/other/base.yaml": base})
    registry.tags["team/os"]["2"] = registry.tags["team/os"]["1"]
    assert dfgen("-C", root, "lock").status == 0
    pins = _publish(registry, b"second")
    del registry.tags["team/os"]["2"]
    done = dfgen("-C", root, "lock", "--upgrade")
    assert (done.status, done.lines) == (
        1,
        [
            f"{LOCK_FILE}: 2 parents, 1 changed",
            f"bases/other/base.yaml:2:9: parent {registry.address}/team/os:2 no longer exists; its pins stay;"
            " use another tag",
        ],
    )
    assert _pins(root) == pins
    assert dfgen("-C", root, "render").status == 0
