"""Image archives: reading those of other tools, and writing one for `docker load`."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from dfgen.errors import CheckError, InputError
from dfgen.oci.archive import Archive
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import IMAGE_NAME, OCI_INDEX, REF_NAME, Descriptor
from tests.fakes.images import ARM64, attestation, image, index_of
from tests.unit.inspect.images import tar

ARM = image(ARM64)
REFERENCE = "docker.io/library/java-base:1.0"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "dist")


def write(path: Path, members: dict[str, bytes]) -> Archive:
    tar(path, members)
    return Archive(path)


def test_entries_do_not_include_attestations(tmp_path: Path) -> None:
    bound, _ = attestation(ARM)
    archive = write(tmp_path / "a.tar", {"./index.json": index_of([ARM.descriptor, bound])})
    assert list(archive.entries()) == [ARM.descriptor.digest.short]


def test_a_blob_that_does_not_match_its_digest_is_rejected(tmp_path: Path) -> None:
    name = f"blobs/sha256/{ARM.descriptor.digest.hex}"
    archive = write(tmp_path / "a.tar", {"index.json": index_of([ARM.descriptor]), name: b"other"})
    with pytest.raises(CheckError) as caught:
        archive.manifest(ARM.descriptor)
    assert str(caught.value) == f"{tmp_path / 'a.tar'}: {name} does not match its digest"


def test_an_error_names_the_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        Archive(tmp_path / "none.tar")
    assert str(caught.value) == f"{tmp_path / 'none.tar'}: cannot be read: No such file or directory"


def test_an_archive_of_the_layout_can_be_read(layout: Layout, tmp_path: Path) -> None:
    entry = ARM.put_into(layout)
    path = tmp_path / "a.tar"
    path.write_bytes(b"".join(layout.archive(entry, "docker.io/team/java:1.0")))
    archive = Archive(path)
    (found,) = archive.entries().values()
    assert archive.manifest(found).raw == ARM.raw
    assert archive.read(ARM.manifest.config) == ARM.blobs[ARM.manifest.config.digest]


def _members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: _content(tar, member) for member in tar.getmembers()}


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")
    file = tar.extractfile(member)
    assert file
    return file.read()


def test_an_archive_has_one_image_and_its_blobs(layout: Layout) -> None:
    made = image(ARM64, [b"1", b"x" * 1000, b"1"])
    entry = made.put_into(layout)
    other = image(layers=[b"not in the archive"])
    layout.tag({"java-base:1.0-aarch64": entry, "other:1": other.put_into(layout)})
    members = _members(b"".join(layout.archive(layout.entries()["java-base:1.0-aarch64"], REFERENCE)))
    index = json.loads(members["index.json"])["manifests"]
    assert [entry["annotations"] for entry in index] == [{IMAGE_NAME: REFERENCE, REF_NAME: "1.0"}]
    assert index[0]["platform"] == {"architecture": "arm64", "os": "linux"}
    blobs = {name: data for name, data in members.items() if name.startswith("blobs/")}
    expected = {f"blobs/sha256/{digest.hex}": data for digest, data in made.blobs.items()}
    assert blobs == {**expected, f"blobs/sha256/{entry.digest.hex}": made.raw}
    assert json.loads(members["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    legacy = json.loads(members["manifest.json"])
    assert legacy[0]["RepoTags"] == [REFERENCE]
    assert len(legacy[0]["Layers"]) == 3
    assert all(name in members for name in (legacy[0]["Config"], *legacy[0]["Layers"]))


def test_an_archive_from_another_layout_has_the_same_bytes(layout: Layout, tmp_path: Path) -> None:
    made = image()
    other = Layout(tmp_path / "other")
    first = b"".join(layout.archive(made.put_into(layout), REFERENCE))
    assert first == b"".join(other.archive(made.put_into(other), REFERENCE))
    assert len(first) % 512 == 0


def test_an_archive_of_an_index_has_all_its_images(layout: Layout) -> None:
    raw = index_of([image().put_into(layout), image(ARM64).put_into(layout)])
    layout.add(raw)
    members = _members(b"".join(layout.archive(Descriptor.of(raw, OCI_INDEX), REFERENCE)))
    assert "manifest.json" not in members
    # An index, two manifests, two configurations, a shared layer, oci-layout and index.json.
    assert len(members) == 8
