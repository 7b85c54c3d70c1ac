"""Archives that are damaged, and what lies in them beside images."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.errors import CheckError, InputError
from dfgen.oci.archive import Archive
from dfgen.oci.layout import Layout
from tests.fakes.images import ARM64, attestation, image, index_of
from tests.unit.inspect.images import tar

ARM = image(ARM64)


def write(path: Path, members: dict[str, bytes]) -> Archive:
    tar(path, members)
    return Archive(path)


def test_attestations_are_not_images_of_an_archive(tmp_path: Path) -> None:
    bound, _ = attestation(ARM)
    archive = write(tmp_path / "a.tar", {"./index.json": index_of([ARM.descriptor, bound])})
    assert list(archive.entries()) == [ARM.descriptor.digest.short]


def test_a_member_with_other_bytes_is_refused(tmp_path: Path) -> None:
    name = f"blobs/sha256/{ARM.descriptor.digest.hex}"
    archive = write(tmp_path / "a.tar", {"index.json": index_of([ARM.descriptor]), name: b"other"})
    with pytest.raises(CheckError) as caught:
        archive.manifest(ARM.descriptor)
    assert str(caught.value) == f"{tmp_path / 'a.tar'}: {name} does not hold what its digest says"


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        Archive(tmp_path / "none.tar")
    assert str(caught.value) == f"{tmp_path / 'none.tar'}: cannot be read: No such file or directory"


def test_what_the_layout_writes_is_read_back(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "dist")
    entry = ARM.put_into(layout)
    path = tmp_path / "a.tar"
    path.write_bytes(b"".join(layout.archive(entry, "docker.io/team/java:1.0")))
    archive = Archive(path)
    (found,) = archive.entries().values()
    assert archive.manifest(found).raw == ARM.raw
    assert archive.read(ARM.manifest.config) == ARM.blobs[ARM.manifest.config.digest]
