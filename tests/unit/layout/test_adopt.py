"""Taking over what buildx exported, and giving one image to `docker load`."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from dfgen.errors import OutsideError
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import IMAGE_NAME, OCI_INDEX, REF_NAME, Descriptor
from tests.fakes.images import ARM64, FakeImage, attestation, export, image, index_of

REFERENCE = "docker.io/library/java-base:1.0"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "dist")


def _export_with_provenance(folder: Path) -> tuple[FakeImage, Descriptor]:
    made = image(ARM64)
    bound, proof = attestation(made)
    nested = index_of([made.descriptor, bound])
    blobs = [*made.blobs.values(), made.raw, *proof.blobs.values(), proof.raw]
    export(folder, (Descriptor.of(nested, OCI_INDEX), nested), blobs=blobs)
    return made, bound


def test_an_export_moves_in(layout: Layout, tmp_path: Path) -> None:
    made = image()
    export(tmp_path / "out", (made.descriptor, made.raw), blobs=list(made.blobs.values()))
    assert layout.adopt(tmp_path / "out") == (made.descriptor,)
    assert layout.is_intact(made.descriptor, deep=True)
    assert list((tmp_path / "out" / "blobs" / "sha256").iterdir()) == []


def test_an_export_with_provenance_gives_the_plain_image_and_its_attestation(
    layout: Layout, tmp_path: Path
) -> None:
    made, bound = _export_with_provenance(tmp_path / "out")
    assert layout.adopt(tmp_path / "out") == (made.descriptor, bound)
    assert layout.is_intact(made.descriptor, deep=True)
    assert layout.is_intact(bound, deep=True)


def test_adopting_mends_a_damaged_blob(layout: Layout, tmp_path: Path) -> None:
    made = image()
    made.put_into(layout)
    layout.blob_path(made.manifest.layers[0].digest).write_bytes(b"a layEr")
    export(tmp_path / "out", (made.descriptor, made.raw), blobs=list(made.blobs.values()))
    layout.adopt(tmp_path / "out")
    assert layout.is_intact(made.descriptor, deep=True)


def test_an_incomplete_export_is_refused(layout: Layout, tmp_path: Path) -> None:
    made = image(layers=[b"12345"])
    export(tmp_path / "out", (made.descriptor, made.raw), blobs=list(made.blobs.values()))
    path = Layout(tmp_path / "out").blob_path(made.manifest.layers[0].digest)
    path.write_bytes(b"1")
    with pytest.raises(OutsideError) as caught:
        layout.adopt(tmp_path / "out")
    assert str(caught.value) == f"{path}: the export is incomplete, expected 5 bytes; build again"


def test_scratch_folders_are_on_the_same_file_system_and_empty(layout: Layout) -> None:
    first, second = layout.scratch(), layout.scratch()
    assert first != second
    assert first.stat().st_dev == layout.root.stat().st_dev
    assert list(first.iterdir()) == []


def test_from_another_file_system_the_blobs_are_copied(layout: Layout) -> None:
    memory = Path("/dev/shm")
    layout.scratch()
    if not memory.is_dir() or memory.stat().st_dev == layout.root.stat().st_dev:
        pytest.skip("needs a second file system at /dev/shm")
    made = image()
    other = Layout(memory / f"dfgen-test-{layout.root.stat().st_ino}")
    try:
        export(other.root, (made.descriptor, made.raw), blobs=list(made.blobs.values()))
        layout.adopt(other.root)
    finally:
        for path in sorted(other.root.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        other.root.rmdir()
    assert layout.is_intact(made.descriptor, deep=True)


def test_what_the_file_system_refuses_names_the_path(layout: Layout) -> None:
    layout.root.mkdir()
    (layout.root / "blobs").write_text("a file where a folder has to be")
    with pytest.raises(OutsideError) as caught:
        layout.add(b"x")
    assert str(caught.value).endswith(
        ": cannot be written: Not a directory; make room or choose another folder"
    )
    assert str(caught.value).startswith(str(layout.root / "blobs" / "sha256"))


LIMITED = """
import pathlib, resource, sys
from dfgen.oci.layout import Layout
from dfgen.oci.digest import Digest
from dfgen.errors import OutsideError
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    Layout(pathlib.Path(sys.argv[1])).add(b"x" * 101)
except OutsideError as error:
    print(error)
"""


def test_a_write_that_does_not_fit_names_the_path_and_leaves_nothing(layout: Layout) -> None:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", LIMITED, str(layout.root)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout
    path = layout.blob_path(Digest.of(b"x" * 101))
    assert said == f"{path}: cannot be written: File too large; make room or choose another folder\n"
    assert layout.unreferenced() == ()


def _members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: _content(tar, member) for member in tar.getmembers()}


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")
    file = tar.extractfile(member)
    assert file
    return file.read()


def test_an_archive_is_a_layout_of_one_image(layout: Layout, tmp_path: Path) -> None:
    made = image(ARM64, [b"1", b"x" * 1000, b"1"])
    entry = made.put_into(layout)
    other = image(layers=[b"not in it"])
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


def test_an_archive_is_the_same_bytes_from_another_layout(layout: Layout, tmp_path: Path) -> None:
    made = image()
    other = Layout(tmp_path / "other")
    first = b"".join(layout.archive(made.put_into(layout), REFERENCE))
    assert first == b"".join(other.archive(made.put_into(other), REFERENCE))
    assert len(first) % 512 == 0


def test_an_index_is_archived_with_its_children(layout: Layout) -> None:
    raw = index_of([image().put_into(layout), image(ARM64).put_into(layout)])
    layout.add(raw)
    members = _members(b"".join(layout.archive(Descriptor.of(raw, OCI_INDEX), REFERENCE)))
    assert "manifest.json" not in members
    # An index, two manifests, two configurations, one layer that both have, and two files of the layout.
    assert len(members) == 8
