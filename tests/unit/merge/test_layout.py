"""Merge in the layout: complete versions get an index."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dfgen.catalog.lockfile import Lock
from dfgen.commands.merge import merge_layout
from dfgen.errors import CheckError
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import BASE_DIGEST, BASE_NAME, INPUTS, OCI_INDEX, Descriptor, Index
from tests.fakes.images import AMD64, ARM64, FakeImage, attestation, image
from tests.unit.pairs import PARENT, catalog_image, family, pair, pinned

AMD, ARM = image(AMD64, [b"amd64 layer"]), image(ARM64, [b"arm64 layer"])
BOTH = {"java-base:1.0-x86_64": AMD, "java-base:1.0-aarch64": ARM}
VERSIONS = {"java-base:1.0": pair()}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "dist")


def put(layout: Layout, images: dict[str, FakeImage]) -> None:
    changes: dict[str, Descriptor | None] = {
        name: replace(made.put_into(layout), annotations={INPUTS: "hash"}) for name, made in images.items()
    }
    layout.tag(changes)


def test_a_version_is_merged_under_its_name_with_its_base(layout: Layout) -> None:
    put(layout, BOTH)
    lock = pinned()
    result = merge_layout(layout, lock, VERSIONS)
    (merged,) = result.merged
    assert (merged.name, merged.changed, result.failed, result.waiting) == ("java-base:1.0", True, None, {})
    entry = layout.entries()["java-base:1.0"]
    assert (entry.digest, entry.media_type) == (merged.digest, OCI_INDEX)
    index = layout.manifest(entry)
    assert isinstance(index, Index)
    assert index.annotations == {BASE_NAME: PARENT, BASE_DIGEST: str(lock.parents[PARENT].digest)}
    assert [entry.annotations for entry in index.manifests] == [{}, {}]
    assert layout.is_intact(entry, deep=True)


def test_a_second_merge_changes_nothing(layout: Layout) -> None:
    put(layout, BOTH)
    first = merge_layout(layout, pinned(), VERSIONS).merged[0]
    before = (layout.root / "index.json").stat().st_ino
    again = merge_layout(layout, pinned(), VERSIONS).merged[0]
    assert again.digest == first.digest
    assert not again.changed
    assert (layout.root / "index.json").stat().st_ino == before


def test_a_missing_index_is_written_again(layout: Layout) -> None:
    put(layout, BOTH)
    digest = merge_layout(layout, pinned(), VERSIONS).merged[0].digest
    layout.blob_path(digest).unlink()
    merge_layout(layout, pinned(), VERSIONS)
    assert layout.is_intact(layout.entries()["java-base:1.0"])


def test_a_version_waits_until_all_platforms_are_built(layout: Layout) -> None:
    put(layout, {"java-base:1.0-x86_64": AMD})
    result = merge_layout(layout, pinned(), VERSIONS)
    assert result.waiting == {"java-base:1.0": (ARM64,)}
    assert result.merged == ()
    assert list(layout.entries()) == ["java-base:1.0-x86_64"]


def test_images_of_different_builds_are_not_mixed(layout: Layout) -> None:
    put(layout, BOTH)
    built = {name: made.descriptor.digest for name, made in BOTH.items()}
    assert merge_layout(layout, pinned(), VERSIONS, built).merged[0].changed
    newer = image(AMD64, [b"newer"])
    put(layout, {"java-base:1.0-x86_64": newer})
    built = {"java-base:1.0-x86_64": newer.descriptor.digest}  # the arm64 build failed
    result = merge_layout(layout, pinned(), VERSIONS, built)
    assert result.waiting == {"java-base:1.0": (ARM64,)}


def test_a_failed_version_does_not_stop_the_others(layout: Layout) -> None:
    wrong = image(ARM64, [b"2"], config_platform=AMD64)
    put(layout, {**BOTH, "java-base:2.0-x86_64": AMD, "java-base:2.0-aarch64": wrong})
    result = merge_layout(layout, pinned(), {**VERSIONS, "java-base:2.0": pair(version="2.0")})
    assert [one.name for one in result.merged] == ["java-base:1.0"]
    assert isinstance(result.failed, CheckError)
    assert str(result.failed) == (
        "java-base:2.0: not merged: java-base:2.0-aarch64 is listed for linux/arm64,"
        " but its configuration says linux/amd64; rebuild it for its platform"
    )


def test_same_layers_need_the_setting_of_the_family(layout: Layout) -> None:
    same = {"x": image(AMD64), "y": image(ARM64)}
    put(layout, {"static:1.0-x86_64": same["x"], "static:1.0-aarch64": same["y"]})
    assert merge_layout(layout, pinned(), {"static:1.0": pair(family("static"))}).failed
    independent = pair(family("static", architecture_independent=True))
    assert merge_layout(layout, pinned(), {"static:1.0": independent}).merged[0].changed


def test_attestations_are_added_to_the_index_only(layout: Layout) -> None:
    proof_entry, proof = attestation(ARM)
    proof.put_into(layout)
    put(layout, BOTH)
    layout.tag({}, [proof_entry])
    (merged,) = merge_layout(layout, pinned(), VERSIONS).merged
    assert merged.index.manifests[2:] == (proof_entry,)
    assert layout.entries()["java-base:1.0-aarch64"].digest == ARM.descriptor.digest
    assert layout.is_intact(layout.entries()["java-base:1.0"], deep=True)


def test_no_base_for_different_or_unpinned_parents(layout: Layout) -> None:
    put(layout, BOTH)
    assert merge_layout(layout, Lock(), VERSIONS).merged[0].index.annotations == {}
    mixed = (catalog_image(AMD64), catalog_image(ARM64, parent="docker.io/library/alpine:3"))
    result = merge_layout(layout, pinned(), {"java-base:1.0": mixed})
    assert result.merged[0].index.annotations == {}


def test_an_index_in_place_of_an_image_is_an_error(layout: Layout) -> None:
    put(layout, BOTH)
    merged = merge_layout(layout, pinned(), VERSIONS).merged[0]
    layout.tag({"java-base:1.0-x86_64": merged.index.descriptor})
    assert str(merge_layout(layout, pinned(), VERSIONS).failed) == (
        "java-base:1.0-x86_64: is an index, expected an image manifest; run `dfgen build java-base:1.0@amd64`"
    )
