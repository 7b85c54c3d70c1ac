"""Joining layouts of other machines: images with the catalog's inputs are copied and verified, others refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dfgen.commands.join import join, match
from dfgen.commands.plan.inputs import TESTS, Plan, digest_of_tests
from dfgen.commands.plan.records import Records
from dfgen.errors import CheckError, ExternalError
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import INPUTS, OCI_INDEX, Descriptor, Manifest
from dfgen.sbom.model import artifact
from tests.fakes.images import attestation, image, index_of
from tests.fakes.layers import elf, tar
from tests.unit.cli.run import dfgen
from tests.unit.models import AMD64, ARM64, a_test
from tests.unit.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.of(tmp_path / "here", {"a": []})


def inputs(world: World, name: str) -> dict[str, str]:
    found = next(step.inputs for step in world.plan().steps if step.image.name == name)
    assert found
    return {INPUTS: str(found.digest)}


def machine(world: World, arch: str, content: bytes = b"") -> Layout:
    """The layout of a machine that built one architecture."""
    layout = Layout(world.root.parent / arch)
    platform = {"amd64": AMD64, "arm64": ARM64}[arch]
    made = image(
        platform, layers=[tar({"f": content or arch.encode()})], annotations=inputs(world, f"a:1@{arch}")
    )
    marked = replace(made.put_into(layout), annotations={TESTS: "sha256:1"})
    layout.tag({f"a:1-{platform.row.tag}": marked})
    return layout


def joined(world: World, *layouts: Layout) -> list[str]:
    found = match(layouts, world.plan())
    join(found, world.layout, world.records, world.root)
    return [one.image.name for one in found]


def refused(plan: Plan, *layouts: Layout) -> list[str]:
    with pytest.raises(CheckError) as caught:
        match(layouts, plan)
    return str(caught.value).splitlines()


def test_images_of_two_machines_are_copied_with_their_annotations_and_inputs(world: World) -> None:
    assert joined(world, machine(world, "amd64"), machine(world, "arm64")) == ["a:1@amd64", "a:1@arm64"]
    entries = world.layout.entries()
    assert list(entries) == ["a:1-aarch64", "a:1-x86_64"]
    assert all(world.layout.is_intact(one, deep=True) for one in entries.values())
    assert {one.annotations[TESTS] for one in entries.values()} == {"sha256:1"}
    for name, entry in (("a:1@amd64", entries["a:1-x86_64"]), ("a:1@arm64", entries["a:1-aarch64"])):
        assert entry.annotations[INPUTS] == inputs(world, name)[INPUTS]
        assert world.records.inputs(Digest(entry.annotations[INPUTS]))


def test_joining_again_changes_nothing_and_sources_are_unchanged(world: World) -> None:
    source = machine(world, "amd64")
    before = sorted(source.root.rglob("*"))
    joined(world, source)
    index = (world.layout.root / "index.json").stat()
    joined(world, source)
    assert (world.layout.root / "index.json").stat() == index
    assert sorted(source.root.rglob("*")) == before


def test_a_tested_image_stays_tested_when_it_is_joined_untested(world: World) -> None:
    joined(world, machine(world, "amd64"))
    baked = Layout(world.root.parent / "baked")
    made = image(AMD64, layers=[tar({"f": b"amd64"})], annotations=inputs(world, "a:1@amd64"))
    baked.tag({"latest": made.put_into(baked)})
    joined(world, baked)
    assert world.layout.entries()["a:1-x86_64"].annotations[TESTS] == "sha256:1"


def test_passed_tests_of_the_catalog_win_over_others(world: World) -> None:
    passed = str(digest_of_tests(world.catalog.images[0]))
    source = machine(world, "amd64")
    joined(world, source)
    name = "a:1-x86_64"
    world.layout.tag({name: replace(world.layout.entries()[name], annotations={TESTS: passed})})
    joined(world, source)
    assert world.layout.entries()[name].annotations[TESTS] == passed


def test_images_of_an_index_are_found_with_their_attestations(world: World) -> None:
    source = Layout(world.root.parent / "baked")
    made = image(AMD64, annotations=inputs(world, "a:1@amd64"))
    beside, statement = attestation(made)
    entry = made.put_into(source)
    statement.put_into(source)
    raw = index_of([entry, beside])
    source.add(raw)
    source.tag({"latest": Descriptor.of(raw, OCI_INDEX)})
    assert joined(world, source) == ["a:1@amd64"]
    entry = world.layout.entries()["a:1-x86_64"]
    assert TESTS not in entry.annotations
    assert [one.digest for one in world.layout.attestations(entry.digest)] == [beside.digest]
    assert world.layout.is_intact(beside, deep=True)


def test_an_sbom_is_copied_and_not_generated_again(world: World) -> None:
    source = Layout(world.root.parent / "amd64")
    entry = image(AMD64, annotations=inputs(world, "a:1@amd64")).put_into(source)
    made = artifact(entry, b"sbom")
    for data in (*made.blobs, made.raw):
        source.add(data)
    tested = str(digest_of_tests(world.catalog.images[0]))
    source.tag({"a:1-x86_64": replace(entry, annotations={TESTS: tested})}, [made.entry])
    world.catalog = replace(world.catalog, lists_packages=True)
    joined(world, source)
    assert world.layout.attestations(entry.digest) == (made.entry,)
    assert world.reasons("a:1@amd64") == {"a:1@amd64": "up to date"}


def test_an_image_without_an_sbom_gets_one(world: World) -> None:
    world.catalog = replace(world.catalog, lists_packages=True)
    source = machine(world, "amd64")
    name, entry = next(iter(source.entries().items()))
    source.tag({name: replace(entry, annotations={TESTS: str(digest_of_tests(world.catalog.images[0]))})})
    joined(world, source)
    assert world.reasons("a:1@amd64") == {"a:1@amd64": "SBOM missing"}


def test_an_image_of_other_inputs_is_refused(world: World) -> None:
    source = machine(world, "amd64")
    (world.root / "bases/a/1/Dockerfile_amd64").write_text("FROM other\n")
    assert refused(world.plan(), source, machine(world, "arm64")) == [
        f"{source.root}: a:1-x86_64 was built from other inputs than the catalog's;"
        " rebuild it from this commit"
    ]


def test_differing_inputs_are_named_if_the_source_recorded_them(world: World) -> None:
    source = machine(world, "amd64")
    for step in world.plan().steps:
        assert step.inputs
        Records(source.root).keep(step.inputs)
    index = index_of(list(source.entries().values()))
    source.add(index)
    source.tag({"a:1": Descriptor.of(index, OCI_INDEX)})  # the same image once more
    (world.root / "bases/a/1/Dockerfile_amd64").write_text("FROM other\n")
    world.catalog = replace(world.catalog, source_date_epoch=1)
    assert refused(world.plan(), source) == [
        f"{source.root}: a:1-x86_64 was built from other inputs than the catalog's:"
        " Dockerfile and source_date_epoch; rebuild it from this commit"
    ]


def test_a_parent_without_a_pin_is_named(tmp_path: Path) -> None:
    source = Layout(tmp_path / "there")
    source.tag({"b:1-x86_64": image(AMD64, annotations={INPUTS: f"sha256:{'1' * 64}"}).put_into(source)})
    plan = World.of(tmp_path / "here", {"a": [], "b": ["a"]}).plan()
    assert refused(plan, source) == [
        f"{source.root}: b:1-x86_64 was built from other inputs than the catalog's;"
        " rebuild it from this commit, or copy the bases/lock.json of its build,"
        " since a:1 has no pin here"
    ]


def test_an_image_that_dfgen_did_not_build_is_refused(world: World) -> None:
    source = Layout(world.root.parent / "foreign")
    entry = image(AMD64).put_into(source)
    source.tag({"b:1": entry})
    advice = "join layouts of `dfgen build` or of its bake file"
    assert refused(world.plan(), source) == [f"{source.root}: b:1 was not built by dfgen; {advice}"]


def test_a_folder_without_images_is_refused(world: World) -> None:
    source = Layout(world.root)
    assert refused(world.plan(), source) == [
        f"{world.root}: is not a layout with images; pass folders that `dfgen build` or bake wrote"
    ]


def test_two_builds_that_differ_are_both_named(world: World) -> None:
    one = machine(world, "amd64")
    other = Layout(world.root.parent / "other")
    made = image(AMD64, layers=[tar({"f": b"other"})], annotations=inputs(world, "a:1@amd64"))
    entry = made.put_into(other)
    other.tag({"a:1-x86_64": entry})
    first = one.entries()["a:1-x86_64"].digest
    assert refused(world.plan(), one, other) == [
        f"a:1@amd64 is not reproducible: {one.root}: a:1-x86_64 is {first}, {other.root}: a:1-x86_64 is"
        f" {entry.digest}; two builds of the same inputs have different digests,"
        " so join only one of them"
    ]


def test_programs_for_another_architecture_are_refused_and_nothing_is_named(world: World) -> None:
    source = Layout(world.root.parent / "arm64")
    layer = tar({"opt/tool": elf("x86_64")})
    made = image(ARM64, layers=[layer], annotations=inputs(world, "a:1@arm64"))
    source.tag({"a:1-aarch64": made.put_into(source)})
    with pytest.raises(CheckError) as caught:
        joined(world, source, machine(world, "amd64"))
    assert str(caught.value) == (
        "a:1@arm64: /opt/tool is for x86_64, the image for linux/arm64; use the right file for each platform, or"
        " list the path with a reason under `foreign_programs` in bases/a/base.yaml"
    )
    assert world.layout.entries() == {}
    world.change("a:1@arm64", foreign_programs={"/opt/*": "qemu"})
    assert joined(world, source) == ["a:1@arm64"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (None, "is missing"),
        (b"", "has 0 bytes, expected 10240"),
        (bytes(10240), "does not match its digest"),
    ],
)
def test_a_damaged_blob_is_reported_and_nothing_is_tagged(
    world: World, damage: bytes | None, said: str
) -> None:
    source = machine(world, "amd64")
    manifest = source.manifest(source.entries()["a:1-x86_64"])
    assert isinstance(manifest, Manifest)
    path = source.blob_path(manifest.layers[0].digest)
    path.unlink() if damage is None else path.write_bytes(damage)
    with pytest.raises(CheckError) as caught:
        joined(world, source, machine(world, "arm64"))
    assert str(caught.value) == f"{path}: {said}; fetch or build that layout again"
    assert world.layout.entries() == {}
    assert not list(world.layout.root.glob(".partial/*"))


def test_an_unreadable_blob_is_named(world: World) -> None:
    source = machine(world, "amd64")
    manifest = source.manifest(source.entries()["a:1-x86_64"])
    assert isinstance(manifest, Manifest)
    path = source.blob_path(manifest.config.digest)
    path.unlink()
    path.mkdir()
    with pytest.raises(ExternalError) as caught:
        joined(world, source)
    assert str(caught.value) == f"{path}: cannot be read: Is a directory"


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    done = dfgen("-C", tmp_path, "join", tmp_path / "nowhere")
    problem = f"Invalid value for 'DIR...': Directory '{tmp_path / 'nowhere'}' does not exist"
    assert (done.status, done.lines) == (2, [f"dfgen join: {problem}; see `dfgen join --help`"])


def test_an_untested_image_is_tested_if_it_has_tests(world: World) -> None:
    source = Layout(world.root.parent / "bake")
    entry = image(AMD64, annotations=inputs(world, "a:1@amd64")).put_into(source)
    source.tag({"latest": entry})
    assert joined(world, source) == ["a:1@amd64"]
    assert world.reasons("a:1@amd64") == {"a:1@amd64": "up to date"}
    world.change("a:1@amd64", tests=(a_test(),))
    assert world.reasons("a:1@amd64") == {"a:1@amd64": "not tested yet"}
