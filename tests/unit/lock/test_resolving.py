"""Resolve parents: which images of a tag can be pinned, and the errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog
from dfgen.commands.lock import lock, upgrade
from dfgen.errors import CheckError, ExternalError, InputError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import ATTESTATION_TYPE, OCI_INDEX, OCI_MANIFEST, Descriptor, Index, canonical_index
from dfgen.oci.platform import Platform
from tests.unit.catalogs import FAMILY, loaded
from tests.unit.lock.fakes import CONFIG, MemoryRegistry
from tests.unit.lock.parents import KEY, OTHER, how, opened, pins

NOT_AN_IMAGE = f"parent {KEY}: is not an image: its configuration ({CONFIG}) has no platform"


def test_a_single_image_of_the_required_platform_is_pinned(tmp_path: Path, registry: MemoryRegistry) -> None:
    one = loaded(tmp_path, FAMILY + "platforms: [arm64]\n")
    image = registry.single(KEY, {"os": "linux", "architecture": "arm64", "variant": "v8"})
    changes = lock(one, Lock(), how(registry))
    assert registry.requests == [f"GET {KEY}", "BLOB docker.io/library/busybox"]  # each read once
    entry = changes.lock.parents[KEY]
    assert (entry.digest, entry.media_type) == (image.descriptor.digest, OCI_MANIFEST)
    assert entry.platforms[Platform.parse("arm64")].size == len(image.raw)


@pytest.mark.parametrize(
    ("config", "kind", "message"),
    [
        ({"os": "linux", "architecture": "amd64"}, InputError, f"parent {KEY} has no image for linux/arm64; it has linux/amd64"),
        ({"os": "windows", "architecture": "amd64"}, InputError, f"parent {KEY} has no image for linux/amd64 and linux/arm64; it has windows/amd64"),
        ({}, CheckError, NOT_AN_IMAGE),
        ([], CheckError, NOT_AN_IMAGE),
        (b"x", CheckError, f"parent {KEY}: invalid JSON in its configuration: Expecting value: line 1 column 1 (char 0)"),
        (b"[" * 100_000, CheckError, None),
    ],
)  # fmt: skip
def test_a_single_image_of_another_kind_is_refused(
    tmp_path: Path, registry: MemoryRegistry, config: object, kind: type[Exception], message: str | None
) -> None:
    registry.single(KEY, config)
    failed = lock(loaded(tmp_path, FAMILY), Lock(), how(registry)).failed
    assert type(failed) is kind
    if message:
        assert str(failed) == f"bases/app/base.yaml:2:9: {message}"


def test_a_missing_platform_lists_the_available_ones(tmp_path: Path, registry: MemoryRegistry) -> None:
    wide = loaded(tmp_path, FAMILY + "platforms: [amd64, riscv64, ppc64le]\n")
    changes = lock(wide, Lock(), how(registry))
    assert isinstance(changes.failed, InputError)
    assert str(changes.failed) == (
        f"bases/app/base.yaml:2:9: parent {KEY} has no image for linux/ppc64le and linux/riscv64;"
        " it has linux/amd64, linux/arm64 and linux/s390x"
    )
    assert changes.lock == Lock()


def test_attestations_and_nested_indexes_are_ignored_and_the_first_entry_counts(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    amd64, nested = Platform.parse("amd64"), Platform.parse("arm64")
    entries = [
        registry.image("amd64", build="first"),
        registry.image("amd64", build="second"),
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
    assert pins(lock(one, Lock(), how(registry))) == [f"linux/amd64 {first.digest}"]
    both = lock(loaded(tmp_path, FAMILY), Lock(), how(registry))
    assert str(both.failed) == (
        f"bases/app/base.yaml:2:9: parent {KEY} has no image for linux/arm64; it has linux/amd64 and windows/amd64:10.0.1"
    )


def test_an_entry_without_a_platform_is_read_for_it(tmp_path: Path, registry: MemoryRegistry) -> None:
    name = f"{KEY}-unlisted"
    chart = registry.single(f"{name}-chart", {"name": "a chart"})
    arm = registry.single(f"{name}-arm", {"os": "linux", "architecture": "arm64"})
    more = registry.single(f"{name}-more", {"os": "linux", "architecture": "arm64", "x": 1})
    amd = registry.image("amd64")
    registry.tag(KEY, canonical_index([amd, chart.descriptor, arm.descriptor, more.descriptor]))
    changes = lock(loaded(tmp_path, FAMILY), Lock(), how(registry))
    assert changes.failed is None
    first = next(
        one for one in _order(registry, KEY) if one in (arm.descriptor.digest, more.descriptor.digest)
    )
    assert pins(changes) == [f"linux/amd64 {amd.digest}", f"linux/arm64 {first}"]
    assert registry.requests[0] == f"GET {KEY}"


def test_entries_without_a_platform_are_not_read_if_all_platforms_are_listed(
    tmp_path: Path, registry: MemoryRegistry
) -> None:
    both = [registry.image(alias) for alias in ("amd64", "arm64")]
    registry.tag(KEY, canonical_index([*both, Descriptor.of(b"?", OCI_MANIFEST)]))
    changes = lock(loaded(tmp_path, FAMILY), Lock(), how(registry))
    assert changes.failed is None
    assert registry.requests == [f"GET {KEY}", *opened(changes)]


COPY = "COPY . /app"


def test_triggers_of_new_pins_are_locked(tmp_path: Path, registry: MemoryRegistry) -> None:
    catalog = loaded(tmp_path, FAMILY)
    arm64 = registry.image("arm64", config={"OnBuild": [COPY, "RUN make"]})
    registry.tag(KEY, canonical_index([registry.image("amd64", config={"OnBuild": None}), arm64]))
    first = lock(catalog, Lock(), how(registry)).lock
    assert first.triggers == {str(arm64.digest): (COPY, "RUN make")}
    registry.requests.clear()
    registry.tag(KEY, canonical_index([registry.image("amd64", config={"OnBuild": [COPY]}), arm64]))
    moved = upgrade(catalog, first, how(registry, uneven=True), [KEY]).lock
    (amd64, _) = moved.parents[KEY].platforms.values()
    assert moved.triggers == {str(amd64.digest): (COPY,), **first.triggers}
    assert registry.requests == [f"HEAD {KEY}", f"GET {KEY}", *opened(moved)[:2]]  # arm64 did not move


@pytest.mark.parametrize(
    "found", ["COPY a b", {}, {"a": 1}, [7], [None], ["x"] * 101, ["x" * 10_001]]
)  # fmt: skip
def test_other_triggers_are_refused(tmp_path: Path, registry: MemoryRegistry, found: object) -> None:
    both = [registry.image(alias, config={"OnBuild": found}) for alias in ("amd64", "arm64")]
    registry.tag(KEY, canonical_index(both))
    changes = lock(loaded(tmp_path, FAMILY), Lock(), how(registry))
    if not found:
        assert changes.failed is None
        return
    assert isinstance(changes.failed, CheckError)
    assert str(changes.failed) == (
        f"bases/app/base.yaml:2:9: parent {KEY} for linux/amd64: the ONBUILD triggers are not a list of at most"
        " 100 texts of at most 10000 characters"
    )


@pytest.mark.parametrize("config", [None, 7, [], {}, {"OnBuild": []}])
def test_an_image_without_triggers(tmp_path: Path, registry: MemoryRegistry, config: object) -> None:
    registry.tag(KEY, canonical_index([registry.image(alias, config=config) for alias in ("amd64", "arm64")]))
    changes = lock(loaded(tmp_path, FAMILY), Lock(), how(registry))
    assert (changes.failed, changes.lock.triggers) == (None, {})


def test_an_image_that_the_index_lists_must_exist(tmp_path: Path, registry: MemoryRegistry) -> None:
    both = [registry.image(alias) for alias in ("amd64", "arm64")]
    registry.tag(KEY, canonical_index(both))
    registry.delete(both[1].digest)
    changes = lock(loaded(tmp_path, FAMILY), Lock(), how(registry))
    assert isinstance(changes.failed, CheckError)
    assert str(changes.failed) == (
        f"bases/app/base.yaml:2:9: the index of {KEY} lists {both[1].digest} for linux/arm64, which does not exist"
    )


def _order(registry: MemoryRegistry, name: str) -> list[Digest]:
    found = registry.tags[name]
    assert isinstance(found, Index)
    return [entry.digest for entry in found.manifests]


def test_a_failure_does_not_stop_the_others(catalog: Catalog, registry: MemoryRegistry) -> None:
    del registry.tags[KEY]
    changes = lock(catalog, Lock(), how(registry))
    assert isinstance(changes.failed, InputError)
    assert str(changes.failed) == (
        f"bases/app/base.yaml:2:9: parent {KEY} does not exist; check the name and the tag"
    )
    assert list(changes.lock.parents) == [OTHER]


def test_failures_are_combined_with_the_highest_exit_code(tmp_path: Path, registry: MemoryRegistry) -> None:
    third = "docker.io/library/third:1"
    registry.index(third, amd64="t")
    registry.broken = {name: ExternalError("hub is down") for name in (KEY, OTHER)}
    catalog = loaded(tmp_path, FAMILY + f"parents: {{a: '{OTHER}', b: '{third}'}}\n")
    failed = lock(catalog, Lock(), how(registry)).failed
    assert isinstance(failed, ExternalError)
    assert failed.exit_code == 3
    assert str(failed).splitlines() == [
        f"bases/app/base.yaml:4:{21 + len(OTHER)}: parent {third} has no image for linux/arm64; it has linux/amd64",
        f"hub is down (affected parents: {OTHER}, {KEY})",
    ]


def test_an_unreachable_host_is_reported_once(catalog: Catalog, registry: MemoryRegistry) -> None:
    class UnreachableError(ExternalError):
        unreachable = "hub.example.com"

    registry.broken = {
        KEY: UnreachableError("hub: 3 tries in 5 s"),
        OTHER: UnreachableError("hub: 3 tries in 5 s"),
    }
    failed = lock(catalog, Lock(), how(registry)).failed
    assert str(failed) == (f"hub: 3 tries in 5 s (affected parents: {OTHER}, {KEY})")
