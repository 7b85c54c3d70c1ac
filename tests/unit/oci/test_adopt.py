"""Adopting an export of buildx, and write errors of the layout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dfgen.errors import ExternalError
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import OCI_INDEX, Descriptor
from tests.fakes.images import ARM64, FakeImage, attestation, export, image, index_of


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "dist")


def _export_with_provenance(folder: Path) -> tuple[FakeImage, Descriptor]:
    made = image(ARM64)
    bound, provenance = attestation(made)
    nested = index_of([made.descriptor, bound])
    blobs = [*made.blobs.values(), made.raw, *provenance.blobs.values(), provenance.raw]
    export(folder, (Descriptor.of(nested, OCI_INDEX), nested), blobs=blobs)
    return made, bound


def test_an_export_is_moved_into_the_layout(layout: Layout, tmp_path: Path) -> None:
    made = image()
    export(tmp_path / "out", (made.descriptor, made.raw), blobs=list(made.blobs.values()))
    assert layout.adopt(tmp_path / "out") == (made.descriptor,)
    assert layout.is_intact(made.descriptor, deep=True)
    assert list((tmp_path / "out" / "blobs" / "sha256").iterdir()) == []


def test_an_export_with_provenance_returns_the_image_and_its_attestation(
    layout: Layout, tmp_path: Path
) -> None:
    made, bound = _export_with_provenance(tmp_path / "out")
    assert layout.adopt(tmp_path / "out") == (made.descriptor, bound)
    assert layout.is_intact(made.descriptor, deep=True)
    assert layout.is_intact(bound, deep=True)


def test_adopt_replaces_a_damaged_blob(layout: Layout, tmp_path: Path) -> None:
    made = image()
    made.put_into(layout)
    layout.blob_path(made.manifest.layers[0].digest).write_bytes(b"a layEr")
    export(tmp_path / "out", (made.descriptor, made.raw), blobs=list(made.blobs.values()))
    layout.adopt(tmp_path / "out")
    assert layout.is_intact(made.descriptor, deep=True)


def test_an_incomplete_export_is_rejected(layout: Layout, tmp_path: Path) -> None:
    made = image(layers=[b"12345"])
    export(tmp_path / "out", (made.descriptor, made.raw), blobs=list(made.blobs.values()))
    path = Layout(tmp_path / "out").blob_path(made.manifest.layers[0].digest)
    path.write_bytes(b"1")
    with pytest.raises(ExternalError) as caught:
        layout.adopt(tmp_path / "out")
    assert str(caught.value) == f"{path}: the export is incomplete, expected 5 bytes; build again"


def test_scratch_folders_are_empty_and_on_the_same_file_system(layout: Layout) -> None:
    first, second = layout.scratch(), layout.scratch()
    assert first != second
    assert first.stat().st_dev == layout.root.stat().st_dev
    assert list(first.iterdir()) == []


def test_blobs_from_another_file_system_are_copied(layout: Layout) -> None:
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


def test_a_write_error_names_the_path(layout: Layout) -> None:
    layout.root.mkdir()
    (layout.root / "blobs").write_text("a file instead of a folder")
    with pytest.raises(ExternalError) as caught:
        layout.add(b"x")
    assert str(caught.value).endswith(
        ": cannot be written: Not a directory; free up space or choose another folder"
    )
    assert str(caught.value).startswith(str(layout.root / "blobs" / "sha256"))


LIMITED = """
import pathlib, resource, sys
from dfgen.oci.layout import Layout
from dfgen.oci.digest import Digest
from dfgen.errors import ExternalError
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    Layout(pathlib.Path(sys.argv[1])).add(b"x" * 101)
except ExternalError as error:
    print(error)
"""


def test_a_write_that_exceeds_the_size_limit_names_the_path_and_leaves_no_file(layout: Layout) -> None:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", LIMITED, str(layout.root)]
    output = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout
    path = layout.blob_path(Digest.of(b"x" * 101))
    assert output == f"{path}: cannot be written: File too large; free up space or choose another folder\n"
    assert layout.unreferenced() == ()
