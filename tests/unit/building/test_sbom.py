"""SBOMs in a run: attestations that do not change the image, generated once, and removed if no longer requested."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from dfgen.catalog.model import Image
from dfgen.commands.building.run import Run
from dfgen.commands.plan.inputs import Step
from dfgen.errors import CheckError
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import ATTESTATION_OF, ATTESTATION_TYPE, OCI_MANIFEST, Descriptor, Index, Manifest
from dfgen.oci.platform import Platform
from dfgen.sbom.generate import SbomGenerator
from dfgen.sbom.model import CYCLONEDX, Sbom, artifact, is_sbom
from tests.unit.models import AMD64, a_test
from tests.unit.sbom.layers import DEBIAN, STATUS, layer
from tests.unit.world import World, states


@dataclass
class Clerk:
    """Generates SBOMs that only name their image."""

    layout: Layout
    made: list[str] = field(default_factory=list)
    lacking: str = ""

    def make(self, image: Image, built: Descriptor) -> Sbom:
        self.made.append(image.name)
        written = artifact(built, f"of {image.name}".encode())
        for data in (*written.blobs, written.raw):
            self.layout.add(data)
        return Sbom(entry=written.entry, packages=2, system="debian 12", lacking=self.lacking)


@dataclass
class Shelf:
    """Published images and attestations, by family."""

    entries: dict[str, tuple[Descriptor, ...]]

    def take(self, step: Step, _on_step: object) -> tuple[Descriptor, ...]:
        return self.entries[step.image.family.name]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two families for one platform, one built on the other."""
    return World.of(tmp_path, {"a": [], "b": ["a"]}, [AMD64])


@pytest.fixture
def clerk(world: World) -> Clerk:
    """An SBOM generator."""
    return Clerk(world.layout)


def asked(world: World, on: bool = True) -> None:
    world.catalog = replace(world.catalog, lists_packages=on)


def run(world: World, clerk: Clerk) -> Run:
    clerk.made.clear()
    return world.build(sbom=clerk.make)


def listed(world: World, name: str = "a:1") -> list[Descriptor]:
    index = world.layout.manifest(world.layout.entries()[name])
    assert isinstance(index, Index)
    return [entry for entry in index.manifests if is_sbom(entry)]


def test_an_sbom_is_added_to_the_merged_index_without_changing_the_image(world: World, clerk: Clerk) -> None:
    run(world, clerk)
    before = world.layout.entries()
    asked(world)
    assert world.reasons() == {"a:1@amd64": "SBOM missing", "b:1@amd64": "SBOM missing"}
    run(world, clerk)
    assert clerk.made == ["a:1@amd64", "b:1@amd64"]
    assert world.builder.built == []
    after = world.layout.entries()
    assert after["a:1-x86_64"].digest == before["a:1-x86_64"].digest
    assert after["a:1"].digest != before["a:1"].digest
    (entry,) = listed(world)
    assert entry.annotations[ATTESTATION_OF] == str(after["a:1-x86_64"].digest)


def test_it_is_generated_once(world: World, clerk: Clerk) -> None:
    asked(world)
    run(world, clerk)
    assert clerk.made == world.builder.built == ["a:1@amd64", "b:1@amd64"]
    done = run(world, clerk)
    assert clerk.made == []
    assert set(states(done).values()) == {"up to date"}


def test_it_is_removed_when_it_is_no_longer_requested(world: World, clerk: Clerk) -> None:
    run(world, clerk)
    without = world.layout.descriptors()
    asked(world)
    run(world, clerk)
    asked(world, on=False)
    assert world.reasons() == dict.fromkeys(("a:1@amd64", "b:1@amd64"), "SBOM no longer requested")
    run(world, clerk)
    assert world.layout.descriptors() == without
    assert world.builder.built == []


def test_an_index_without_the_sbom_is_merged_again(world: World, clerk: Clerk) -> None:
    run(world, clerk)
    plain = world.layout.entries()["a:1"]
    asked(world)
    run(world, clerk)
    merged = world.layout.entries()["a:1"]
    world.layout.tag({"a:1": plain})
    run(world, clerk)
    assert world.layout.entries()["a:1"] == merged
    assert clerk.made == []


def test_provenance_is_kept(world: World, clerk: Clerk) -> None:
    run(world, clerk)
    image = world.layout.entries()["a:1-x86_64"]
    raw = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": Descriptor.of(b"{}", "application/json").to_json(),
            "layers": [],
        }
    ).encode()
    world.layout.add(b"{}")
    world.layout.add(raw)
    provenance = replace(
        Descriptor.of(raw, OCI_MANIFEST, Platform.of("unknown", "unknown")),
        annotations={ATTESTATION_TYPE: "attestation-manifest", ATTESTATION_OF: str(image.digest)},
    )
    world.layout.tag({"a:1-x86_64": image}, [provenance])
    asked(world)
    run(world, clerk)
    assert sorted(map(is_sbom, world.layout.attestations(image.digest))) == [False, True]
    asked(world, on=False)
    run(world, clerk)
    assert world.layout.attestations(image.digest) == (provenance,)


def test_a_damaged_sbom_is_generated_again(world: World, clerk: Clerk) -> None:
    asked(world)
    run(world, clerk)
    before = world.layout.entries()
    manifest = world.layout.manifest(listed(world)[0])
    assert isinstance(manifest, Manifest)
    world.layout.blob_path(manifest.layers[0].digest).unlink()
    assert world.reasons("a:1@amd64") == {"a:1@amd64": "damaged in the layout"}
    run(world, clerk)
    assert clerk.made == ["a:1@amd64"]
    assert world.layout.entries() == before
    assert world.layout.is_intact(before["a:1"])


def test_a_missing_sbom_does_not_repeat_smoke_tests(world: World, clerk: Clerk) -> None:
    world.change("a:1@amd64", tests=(a_test(),))
    run(world, clerk)
    assert world.builder.tested == ["a:1@amd64"]
    asked(world)
    run(world, clerk)
    assert world.builder.tested == []
    assert clerk.made == ["a:1@amd64", "b:1@amd64"]


def test_an_image_that_is_only_tested_again_keeps_its_sbom(world: World, clerk: Clerk) -> None:
    asked(world)
    run(world, clerk)
    bills = listed(world)
    world.change("a:1@amd64", tests=(a_test(),))
    run(world, clerk)
    assert (world.builder.tested, clerk.made, listed(world)) == (["a:1@amd64"], [], bills)


def test_a_downloaded_image_keeps_its_sbom_or_gets_one(world: World, clerk: Clerk) -> None:
    asked(world)
    run(world, clerk)
    entries = {
        name: (world.layout.entries()[f"{name}:1-x86_64"], *listed(world, f"{name}:1")) for name in "ab"
    }
    entries["b"] = entries["b"][:1]
    world.layout.tag(dict.fromkeys(world.layout.entries()))
    clerk.made.clear()
    done = world.build(sbom=clerk.make, published=Shelf(entries))
    assert set(states(done).values()) == {"taken"}
    assert clerk.made == ["b:1@amd64"]


def test_the_notes_count_packages_and_name_incomplete_sboms(world: World, clerk: Clerk) -> None:
    assert run(world, clerk).sbom_notes == ()
    asked(world)
    clerk.lacking = "it has no package database"
    done = run(world, clerk)
    assert done.sbom_notes == (
        "a:1@amd64: its SBOM of 2 packages (debian 12) may be incomplete: it has no package database",
        "b:1@amd64: its SBOM of 2 packages (debian 12) may be incomplete: it has no package database",
        "generated SBOMs list 4 packages",
    )
    assert [one["packages"] for one in done.to_json()["images"]] == [2, 2]


def test_generating_an_sbom_does_not_count_as_a_build_time(world: World, clerk: Clerk) -> None:
    took = run(world, clerk).took
    asked(world)
    assert run(world, clerk).took == took


def an_image(world: World, files: dict[str, str]) -> Descriptor:
    """Put an image with one layer of files into the layout."""
    world.root.joinpath("layers").mkdir()
    packed = layer(world.root / "layers", *files.items()).read_bytes()
    configuration = json.dumps(AMD64.to_json()).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": Descriptor.of(configuration, "application/json").to_json(),
        "layers": [Descriptor.of(packed, "application/gzip").to_json()],
    }
    raw = json.dumps(manifest).encode()
    for data in (packed, configuration, raw):
        world.layout.add(data)
    return Descriptor.of(raw, OCI_MANIFEST, AMD64)


def test_an_sbom_in_the_layout_names_its_image_as_its_subject(world: World) -> None:
    image = an_image(world, {"var/lib/dpkg/status": STATUS, "etc/os-release": DEBIAN})
    sbom = SbomGenerator(world.layout, 0).make(world.catalog.images[0], image)
    assert (sbom.packages, sbom.system, sbom.lacking) == (3, "debian 12", "")
    manifest = world.layout.manifest(sbom.entry)
    assert isinstance(manifest, Manifest)
    assert world.layout.is_intact(sbom.entry, deep=True)
    said = json.loads(manifest.raw)
    assert said["subject"] == {"mediaType": OCI_MANIFEST, "digest": str(image.digest), "size": image.size}
    assert said["artifactType"] == sbom.entry.to_json()["artifactType"] == CYCLONEDX
    (document,) = [json.loads(world.layout.read(blob)) for blob in manifest.layers]
    assert document["metadata"]["component"]["version"] == str(image.digest)
    assert sbom == SbomGenerator(world.layout, 0).make(world.catalog.images[0], image)


def test_a_database_that_cannot_be_read_fails_the_image(world: World) -> None:
    image = an_image(world, {"lib/apk/db/installed": "P:musl\n"})
    with pytest.raises(CheckError) as caught:
        SbomGenerator(world.layout, 0).make(world.catalog.images[0], image)
    assert str(caught.value) == (
        "a:1@amd64: cannot generate its SBOM: /lib/apk/db/installed: the package with 'P: musl'"
        " has no V; fix that, or set `sbom` to a generator in bases/catalog.yaml"
    )


def test_sboms_of_different_images_have_different_digests() -> None:
    one, other = (
        artifact(Descriptor(media_type=OCI_MANIFEST, digest=Digest.of(data), size=1), b"sbom")
        for data in (b"one", b"other")
    )
    assert one.entry.digest != other.entry.digest
