"""Resolve parents: which images of a tag can be pinned, and the errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog
from dfgen.commands.lock import lock
from dfgen.errors import CheckError, ExternalError, InputError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import ATTESTATION_TYPE, OCI_INDEX, OCI_MANIFEST, Descriptor, Index, canonical_index
from dfgen.oci.platform import Platform
from tests.unit.catalogs import FAMILY, loaded
from tests.unit.lock.fakes import CONFIG, MemoryRegistry
from tests.unit.lock.parents import KEY, OTHER, how, pins

NOT_AN_IMAGE = f"parent {KEY}: is not an image: its configuration ({CONFIG}) has no platform"


def test_a_single_image_of_the_required_platform_is_pinned(tmp_path: Path, registry: MemoryRegistry) -> None:
    one = loaded(tmp_path, FAMILY + "platforms: [arm64]\n")
    image = registry.single(KEY, {"os": "linux", "architecture": "arm64", "variant": "v8"})
    changes = lock(one, Lock(), how(registry))
    assert registry.requests == [f"GET {KEY}", "BLOB docker.io/library/busybox"]
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
    amd = Descriptor.of(b"amd", OCI_MANIFEST, Platform.parse("amd64"))
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
    both = [
        Descriptor.of(alias.encode(), OCI_MANIFEST, Platform.parse(alias)) for alias in ("amd64", "arm64")
    ]
    registry.tag(KEY, canonical_index([*both, Descriptor.of(b"?", OCI_MANIFEST)]))
    assert lock(loaded(tmp_path, FAMILY), Lock(), how(registry)).failed is None
    assert registry.requests == [f"GET {KEY}"]


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
