"""Inspecting: the same records from a registry, a layout and an archive, and what differs between two."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dfgen.images.inspected import Difference, Inspected
from dfgen.images.sbom import artefact
from dfgen.outside.layout import Layout
from dfgen.outside.opened import open_images
from dfgen.outside.registry import NoCredentials, Registry, RegistryOptions
from dfgen.stages.inspect import compare, inspect
from dfgen.values.digest import Digest
from dfgen.values.errors import InputError
from dfgen.values.manifest import BASE_DIGEST, BASE_NAME, OCI_INDEX, Descriptor
from dfgen.values.platform import Platform
from tests.fakes.images import AMD64, ARM64, FakeImage, as_json, attestation, image, index_of
from tests.fakes.registry import FakeRegistry
from tests.unit.cli.run import dfgen

NAME = "team/java-base"
WINDOWS = Platform.of("windows", "amd64", os_version="10.0.20348.1")
RUN = {
    "Env": ["PATH=/bin", "LANG=C.UTF-8"],
    "Entrypoint": ["java"],
    "Cmd": ["-jar", "app.jar"],
    "User": "10001",
    "WorkingDir": "/srv",
    "ExposedPorts": {"8080/tcp": {}, "443/tcp": {}},
    "Healthcheck": {"Test": ["CMD", "true"]},
    "Labels": {BASE_NAME: "docker.io/library/debian:12", "a": "b"},
}
AMD = image(
    AMD64,
    [b"common", b"amd64"],
    annotations={BASE_DIGEST: "sha256:base"},
    config={"created": "2026-01-01T00:00:00Z", "config": RUN},
)
ARM = image(ARM64, [b"common", b"arm64"])
BOUND, PROOF = attestation(ARM)
INDEX = index_of([AMD.descriptor, ARM.descriptor, BOUND])


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as registry:
        yield registry


def look(text: str, root: Path = Path()) -> list[Inspected]:
    def registry() -> Registry:
        return Registry(RegistryOptions(), None, NoCredentials())

    found = open_images(text, registry, root)
    return [inspect(one.name, one.document, one.reader) for one in found]


def put(fake: FakeRegistry) -> str:
    for made in (AMD, ARM, PROOF):
        fake.add_image(NAME, made)
    fake.add_manifest(NAME, INDEX, OCI_INDEX, "1.0")
    return f"{fake.address}/{NAME}:1.0"


def layout_at(root: Path) -> Layout:
    layout = Layout(root / "dist")
    for made in (AMD, ARM, PROOF):
        made.put_into(layout)
    layout.add(INDEX)
    layout.tag({"java-base:1.0": Descriptor.of(INDEX, OCI_INDEX), "java-base:1.0-x86_64": AMD.descriptor})
    return layout


def test_an_index_in_a_registry(fake: FakeRegistry) -> None:
    reference = put(fake)
    (found,) = look(reference)
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
    # One request for the index, two for each image; attestations are only listed.
    assert fake.count() == 5


def without_name(found: Inspected) -> Inspected:
    return replace(found, name="")


def test_a_layout_and_an_archive_tell_the_same(fake: FakeRegistry, tmp_path: Path) -> None:
    (expected,) = look(put(fake))
    layout = layout_at(tmp_path)
    (found,) = look("dist:java-base:1.0", tmp_path)
    assert found.name == "dist:java-base:1.0"
    assert without_name(found) == without_name(expected)
    entry = layout.entries()["java-base:1.0"]
    (tmp_path / "image.tar").write_bytes(b"".join(layout.archive(entry, "docker.io/x/java:1")))
    (found,) = look("image.tar", tmp_path)
    assert found.name == "image.tar:docker.io/x/java:1"
    assert without_name(found) == without_name(expected)
    (tmp_path / "image.tar.gz").write_bytes(gzip.compress((tmp_path / "image.tar").read_bytes()))
    (found,) = look("image.tar.gz:docker.io/x/java:1", tmp_path)
    assert without_name(found) == without_name(expected)


def test_what_an_attestation_holds_is_told_where_its_entry_says_so(
    tmp_path: Path,
) -> None:
    layout = layout_at(tmp_path)
    made = artefact(AMD.descriptor, b"bill")
    for data in (*made.blobs, made.raw):
        layout.add(data)
    raw = index_of([AMD.descriptor, ARM.descriptor, BOUND, made.entry])
    layout.add(raw)
    layout.tag({"java-base:1.0": Descriptor.of(raw, OCI_INDEX)})
    (found,) = look("dist:java-base:1.0", tmp_path)
    assert [one.type for one in found.attestations] == ["", "application/vnd.cyclonedx+json"]
    out = dfgen("-C", tmp_path, "inspect", "dist:java-base:1.0").out
    proof = f"attestation {BOUND.digest} of {ARM.descriptor.digest}"
    bill = f"attestation {made.entry.digest} of {AMD.descriptor.digest} (application/vnd.cyclonedx+json)"
    assert f"{proof}\n{bill}\n" in out


def test_a_folder_gives_all_that_it_holds(tmp_path: Path) -> None:
    layout_at(tmp_path)
    assert [(one.name, len(one.images)) for one in look("dist", tmp_path)] == [
        ("dist:java-base:1.0", 2),
        ("dist:java-base:1.0-x86_64", 1),
    ]


def test_images_of_other_tools_may_have_no_name(tmp_path: Path) -> None:
    layout = layout_at(tmp_path)
    raw = index_of([ARM.descriptor, BOUND])
    (layout.root / "index.json").write_bytes(raw)
    (found,) = look("dist", tmp_path)
    assert found.name == f"dist:{ARM.descriptor.digest.short}"


def test_a_single_image_has_the_platform_of_its_configuration(fake: FakeRegistry) -> None:
    fake.add_image(NAME, ARM, "arm")
    (found,) = look(f"{fake.address}/{NAME}:arm")
    (image,) = found.images
    assert (image.listed, image.platform, image.agrees) == (None, ARM64, True)


def test_a_platform_that_the_configuration_contradicts_is_told(fake: FakeRegistry) -> None:
    wrong = image(ARM64, says=AMD64)
    raw = index_of([fake.add_image(NAME, wrong), fake.add_image(NAME, image(WINDOWS, [b"w"]))])
    fake.add_manifest(NAME, raw, OCI_INDEX, "1")
    (found,) = look(f"{fake.address}/{NAME}:1")
    arm, windows = found.images
    assert (arm.listed, arm.platform, arm.agrees) == (ARM64, AMD64, False)
    assert (str(windows.platform), windows.agrees) == ("windows/amd64:10.0.20348.1", True)


def test_what_is_not_an_image_still_shows_its_layers(fake: FakeRegistry) -> None:
    chart = image(AMD64, [b"chart"], config={"os": "", "config": "odd"})
    fake.add_image(NAME, chart, "chart")
    (found,) = look(f"{fake.address}/{NAME}:chart")
    assert (found.images[0].platform, len(found.images[0].layers)) == (None, 1)


def test_odd_configurations_do_no_harm(fake: FakeRegistry) -> None:
    odd = {"config": {"Env": "PATH", "Labels": ["a"], "Healthcheck": 1, "ExposedPorts": None, "Cmd": [1]}}
    fake.add_image(NAME, image(config=odd), "odd")
    fake.add_image(NAME, image(config={"config": "odd"}), "odder")
    (found,) = look(f"{fake.address}/{NAME}:odd")
    assert (found.images[0].settings.env, found.images[0].settings.cmd) == ((), ("1",))
    (found,) = look(f"{fake.address}/{NAME}:odder")
    assert found.images[0].settings.labels == {}


def test_one_platform_of_it(fake: FakeRegistry) -> None:
    (found,) = look(put(fake))
    assert [image.platform for image in found.only(ARM64).images] == [ARM64]
    assert len(found.only(ARM64).attestations) == 1
    assert found.only(AMD64).attestations == ()
    with pytest.raises(InputError) as caught:
        found.only(WINDOWS)
    assert str(caught.value) == (
        f"{found.name}: has no windows/amd64:10.0.20348.1; it has linux/amd64 and linux/arm64"
    )


def differences(found: tuple[Difference, ...]) -> list[tuple[str, str, str, str]]:
    return [(str(one.platform or ""), one.what, one.left, one.right) for one in found]


def test_two_that_are_the_same_do_not_differ(fake: FakeRegistry, tmp_path: Path) -> None:
    layout_at(tmp_path)
    assert compare(look(put(fake))[0], look("dist:java-base:1.0", tmp_path)[0]) == ()


def test_what_differs_between_two(fake: FakeRegistry) -> None:
    (left,) = look(put(fake))
    run = {**RUN, "Env": ["PATH=/usr/bin", "TZ=UTC"], "User": "root", "Labels": {"a": "c"}}
    newer = image(AMD64, [b"common", b"new", b"more"], config={"created": "now", "config": run})
    raw = index_of([fake.add_image(NAME, newer)])
    fake.add_manifest(NAME, raw, OCI_INDEX, "2")
    (right,) = look(f"{fake.address}/{NAME}:2")
    amd = "linux/amd64"
    old_size, new_size = (sum(map(len, one.blobs.values())) for one in (AMD, newer))
    assert differences(compare(left, right)) == [
        ("", "digest", str(left.digest), str(right.digest)),
        (amd, "digest", str(AMD.descriptor.digest), str(newer.descriptor.digest)),
        (amd, "size", str(old_size), str(new_size)),
        (amd, "created", "2026-01-01T00:00:00Z", "now"),
        (amd, "user", "10001", "root"),
        (amd, "layer 2", str(Digest.of(b"amd64")), str(Digest.of(b"new"))),
        (amd, "layer 3", "", str(Digest.of(b"more"))),
        (amd, f"annotation {BASE_DIGEST}", "sha256:base", ""),
        (amd, "env LANG", "C.UTF-8", ""),
        (amd, "env PATH", "/bin", "/usr/bin"),
        (amd, "env TZ", "", "UTC"),
        (amd, "label a", "b", "c"),
        (amd, f"label {BASE_NAME}", "docker.io/library/debian:12", ""),
        ("linux/arm64", "image", str(ARM.descriptor.digest), ""),
    ]


def tar(path: Path, members: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w") as file:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))


def legacy(made: FakeImage, layers: list[bytes], names: list[str] | None) -> dict[str, bytes]:
    """The form that engines wrote before they knew OCI."""
    config = json.loads(made.blobs[made.manifest.config.digest])
    config["rootfs"]["diff_ids"] = [str(Digest.of(layer)) for layer in layers]
    paths = [f"{number}/layer.tar" for number in range(len(layers))]
    entry: dict[str, Any] = {"Config": "config.json", "RepoTags": names, "Layers": paths}
    files = dict(zip(paths, layers, strict=True))
    return {"manifest.json": as_json([entry]), "config.json": as_json(config), **files}


def test_an_archive_of_an_older_engine(tmp_path: Path) -> None:
    tar(tmp_path / "old.tar", legacy(AMD, [b"one", b"three"], ["java:1", "java:2"]))
    found = look("old.tar", tmp_path)
    assert [one.name for one in found] == ["old.tar:java:1", "old.tar:java:2"]
    assert [layer.size for layer in found[0].images[0].layers] == [3, 5]
    assert found[0].images[0].platform == AMD64
    tar(tmp_path / "old.tar", legacy(AMD, [b"one"], None))
    assert len(look("old.tar", tmp_path)) == 1


def test_an_archive_may_lack_platforms_that_its_index_names(tmp_path: Path) -> None:
    layout = layout_at(tmp_path)
    data = b"".join(layout.archive(layout.entries()["java-base:1.0"], "x:1"))
    with tarfile.open(fileobj=io.BytesIO(data)) as full:
        members = {member.name: full.extractfile(member).read() for member in full}  # type: ignore[union-attr]
    del members[f"blobs/sha256/{ARM.descriptor.digest.hex}"]
    tar(tmp_path / "part.tar", members)
    (found,) = look("part.tar", tmp_path)
    assert [(image.listed, image.here) for image in found.images] == [(AMD64, True), (ARM64, False)]


EXPECTED = "expected one that `docker save` wrote, or an OCI archive"


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (lambda path: path.write_text("text"), "file could not be opened successfully"),
        (lambda path: tar(path, {"a": b""}), "it has neither index.json nor manifest.json"),
        (lambda path: tar(path, {"index.json": b"{"}), "not an image manifest or index: "),
        (lambda path: tar(path, {"manifest.json": b"[{}]"}), "'Config'"),
        (
            lambda path: tar(path, {"manifest.json": b'[{"Config":"x"}]'}),
            "x is not in it",
        ),
    ],
)
def test_what_is_not_an_archive_of_images(tmp_path: Path, write: Callable[[Path], object], why: str) -> None:
    path = tmp_path / "some.tar"
    write(path)
    with pytest.raises(InputError) as caught:
        look("some.tar", tmp_path)
    assert str(caught.value).startswith(f"{path}: is not an image archive: ")
    assert why in str(caught.value)
    assert str(caught.value).endswith(f"; {EXPECTED}")


def test_names_that_are_not_there(tmp_path: Path) -> None:
    layout_at(tmp_path)
    with pytest.raises(InputError) as caught:
        look("dist:java-bas:1.0", tmp_path)
    assert str(caught.value) == "dist: holds no 'java-bas:1.0' (did you mean 'java-base:1.0'?)"
    with pytest.raises(InputError) as caught:
        look("dist:x", tmp_path)
    assert str(caught.value) == "dist: holds no 'x'; it has java-base:1.0, java-base:1.0-x86_64"


def test_a_folder_that_is_no_layout(tmp_path: Path) -> None:
    (tmp_path / "Folder").mkdir()
    with pytest.raises(InputError) as caught:
        look("Folder", tmp_path)
    assert str(caught.value) == "Folder: is not an OCI layout; expected a folder with an index.json"
    with pytest.raises(InputError, match="is not an image reference"):
        look("No/Such", tmp_path)


def test_a_folder_named_as_an_image_does_not_hide_it(fake: FakeRegistry, tmp_path: Path) -> None:
    reference = put(fake)
    (tmp_path / fake.address.partition(":")[0]).mkdir()
    assert len(look(reference, tmp_path)) == 1
