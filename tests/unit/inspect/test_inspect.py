"""Inspect: the same records from a registry, a layout and an archive."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from dfgen.commands.inspect import Inspected
from dfgen.errors import InputError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import OCI_INDEX, Descriptor
from dfgen.sbom.model import artifact
from tests.fakes.images import AMD64, ARM64, image, index_of
from tests.fakes.registry import FakeRegistry
from tests.unit.cli.run import dfgen
from tests.unit.inspect.images import AMD, ARM, BOUND, INDEX, NAME, WINDOWS, inspect_all, layout_at, put


def test_an_index_in_a_registry(fake: FakeRegistry) -> None:
    reference = put(fake)
    (found,) = inspect_all(reference)
    assert (found.name, found.raw, found.digest) == (reference, INDEX, Digest.of(INDEX))
    assert [image.platform for image in found.images] == [AMD64, ARM64]
    assert [(one.digest, one.of) for one in found.attestations] == [
        (BOUND.digest, str(ARM.descriptor.digest))
    ]
    amd = found.images[0]
    assert amd.size == sum(len(data) for data in AMD.blobs.values())
    assert [(layer.size, layer.shared) for layer in amd.layers] == [(6, True), (5, False)]
    assert (amd.base_name, amd.base_digest) == ("docker.io/library/debian:12", "sha256:base")
    settings = amd.settings
    assert settings.created == "2026-01-01T00:00:00Z"
    assert settings.env == ("PATH=/bin", "LANG=C.UTF-8")
    assert (settings.entrypoint, settings.cmd) == (("java",), ("-jar", "app.jar"))
    assert (settings.user, settings.workdir, settings.ports) == ("10001", "/srv", ("443/tcp", "8080/tcp"))
    assert (settings.healthcheck, settings.labels["a"]) == (("CMD", "true"), "b")
    assert found.size == sum(image.size for image in found.images) - len(b"common")
    # One request for the index, two per image; attestations are not read.
    assert fake.count() == 5


def without_name(found: Inspected) -> Inspected:
    return replace(found, name="")


def test_a_layout_and_an_archive_give_the_same_records(fake: FakeRegistry, tmp_path: Path) -> None:
    (expected,) = inspect_all(put(fake))
    layout = layout_at(tmp_path)
    (found,) = inspect_all("dist:java-base:1.0", tmp_path)
    assert found.name == "dist:java-base:1.0"
    assert without_name(found) == without_name(expected)
    entry = layout.entries()["java-base:1.0"]
    (tmp_path / "image.tar").write_bytes(b"".join(layout.archive(entry, "docker.io/x/java:1")))
    (found,) = inspect_all("image.tar", tmp_path)
    assert found.name == "image.tar:docker.io/x/java:1"
    assert without_name(found) == without_name(expected)
    (tmp_path / "image.tar.gz").write_bytes(gzip.compress((tmp_path / "image.tar").read_bytes()))
    (found,) = inspect_all("image.tar.gz:docker.io/x/java:1", tmp_path)
    assert without_name(found) == without_name(expected)


def test_the_type_of_an_attestation_comes_from_its_entry(
    tmp_path: Path,
) -> None:
    layout = layout_at(tmp_path)
    made = artifact(AMD.descriptor, b"sbom")
    for data in (*made.blobs, made.raw):
        layout.add(data)
    raw = index_of([AMD.descriptor, ARM.descriptor, BOUND, made.entry])
    layout.add(raw)
    layout.tag({"java-base:1.0": Descriptor.of(raw, OCI_INDEX)})
    (found,) = inspect_all("dist:java-base:1.0", tmp_path)
    assert [one.type for one in found.attestations] == ["", "application/vnd.cyclonedx+json"]
    out = dfgen("-C", tmp_path, "inspect", "dist:java-base:1.0").out
    proof = f"attestation {BOUND.digest} of {ARM.descriptor.digest}"
    sbom = f"attestation {made.entry.digest} of {AMD.descriptor.digest} (application/vnd.cyclonedx+json)"
    assert f"{proof}\n{sbom}\n" in out


def test_a_name_of_the_layout_that_is_read_from_a_registry_is_noted(tmp_path: Path) -> None:
    layout = layout_at(tmp_path)
    name = "127.0.0.1:1/java-base:1.0"  # nothing listens there
    layout.tag({name: layout.entries()["java-base:1.0"]})
    done = dfgen("-C", tmp_path, "inspect", name)
    assert done.status == 3
    assert done.lines[0] == f"{name} is read from a registry; the image in dist/ is dist:{name}"


def test_an_index_with_far_too_many_images_is_not_read(tmp_path: Path) -> None:
    layout = layout_at(tmp_path)
    entries = [replace(AMD.descriptor, digest=Digest.of(str(number).encode())) for number in range(201)]
    raw = index_of(entries)
    layout.add(raw)
    layout.tag({"many:1": Descriptor.of(raw, OCI_INDEX)})
    done = dfgen("-C", tmp_path, "inspect", "dist:many:1")
    assert (done.status, done.lines) == (
        1,
        [
            "dist:many:1: the index lists 201 images; dfgen reads 200 at most; inspect one of them, by its digest"
        ],
    )


def test_a_single_image_has_the_platform_of_its_configuration(fake: FakeRegistry) -> None:
    fake.add_image(NAME, ARM, "arm")
    (found,) = inspect_all(f"{fake.address}/{NAME}:arm")
    (image,) = found.images
    assert (image.listed, image.platform, image.platform_matches) == (None, ARM64, True)


def test_a_platform_that_differs_from_the_configuration(fake: FakeRegistry) -> None:
    wrong = image(ARM64, config_platform=AMD64)
    raw = index_of([fake.add_image(NAME, wrong), fake.add_image(NAME, image(WINDOWS, [b"w"]))])
    fake.add_manifest(NAME, raw, OCI_INDEX, "1")
    (found,) = inspect_all(f"{fake.address}/{NAME}:1")
    arm, windows = found.images
    assert (arm.listed, arm.platform, arm.platform_matches) == (ARM64, AMD64, False)
    assert (str(windows.platform), windows.platform_matches) == ("windows/amd64:10.0.20348.1", True)


def test_a_chart_shows_its_layers(fake: FakeRegistry) -> None:
    chart = image(AMD64, [b"chart"], config={"os": "", "config": "text"})
    fake.add_image(NAME, chart, "chart")
    (found,) = inspect_all(f"{fake.address}/{NAME}:chart")
    assert (found.images[0].platform, len(found.images[0].layers)) == (None, 1)


def test_malformed_configurations_are_ignored(fake: FakeRegistry) -> None:
    malformed = {
        "config": {"Env": "PATH", "Labels": ["a"], "Healthcheck": 1, "ExposedPorts": None, "Cmd": [1]}
    }
    fake.add_image(NAME, image(config=malformed), "list")
    fake.add_image(NAME, image(config={"config": "text"}), "text")
    (found,) = inspect_all(f"{fake.address}/{NAME}:list")
    assert (found.images[0].settings.env, found.images[0].settings.cmd) == ((), ("1",))
    (found,) = inspect_all(f"{fake.address}/{NAME}:text")
    assert found.images[0].settings.labels == {}


def test_only_one_platform(fake: FakeRegistry) -> None:
    (found,) = inspect_all(put(fake))
    assert [image.platform for image in found.only(ARM64).images] == [ARM64]
    assert len(found.only(ARM64).attestations) == 1
    assert found.only(AMD64).attestations == ()
    with pytest.raises(InputError) as caught:
        found.only(WINDOWS)
    assert str(caught.value) == (
        f"{found.name}: has no image for windows/amd64:10.0.20348.1; it has linux/amd64 and linux/arm64"
    )
