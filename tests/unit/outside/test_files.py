"""Files on disk: whole or not at all, and found where a catalog has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.errors import OutsideError
from dfgen.filetree.files import dockerfiles, remove, temporary_folder, write


def test_a_file_is_written_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "Dockerfile_amd64"
    write(path, "FROM x\r\né\n")
    assert path.read_bytes() == "FROM x\r\né\n".encode()
    assert [one.name for one in path.parent.iterdir()] == ["Dockerfile_amd64"]


def test_a_new_file_has_the_mode_of_every_new_file(tmp_path: Path) -> None:
    write(tmp_path / "new", "x")
    (tmp_path / "other").write_text("x")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_the_mode_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o750)
    write(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o750)


def test_a_file_that_cannot_be_written_stays_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write(path, "half\ud800")
    assert (path.read_text(), [one.name for one in tmp_path.iterdir()]) == ("old", ["file"])


def test_what_is_wrong_is_told_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    with pytest.raises(OutsideError) as caught:
        write(tmp_path / "folder", "x")
    assert str(caught.value) == f"{tmp_path}/folder: cannot be written: Is a directory"
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]


def test_removing_takes_the_empty_folder_too(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / "1.0" / name, "x")
    remove(tmp_path / "1.0" / "a")
    assert (tmp_path / "1.0" / "b").exists()
    remove(tmp_path / "1.0" / "b")
    assert not (tmp_path / "1.0").exists()


def test_what_cannot_be_removed_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutsideError) as caught:
        remove(tmp_path / "folder")
    assert str(caught.value).startswith(f"{tmp_path}/folder: cannot be removed: ")


def test_dockerfiles_are_found_where_a_catalog_has_them(tmp_path: Path) -> None:
    there = ("b/1/Dockerfile_arm64", "b/1/Dockerfile_amd64", "a/2/Dockerfile_amd64")
    other = ("a/Dockerfile_amd64", "a/2/Dockerfile", "a/2/.Dockerfile_amd64.tmp", "a/2/deep/Dockerfile_amd64")
    for name in (*there, *other):
        write(tmp_path / "bases" / name, name)
    (tmp_path / "bases" / "link").symlink_to(tmp_path / "bases" / "a")
    assert list(dockerfiles(tmp_path).items()) == [
        (f"bases/{name}", name)
        for name in ("a/2/Dockerfile_amd64", "b/1/Dockerfile_amd64", "b/1/Dockerfile_arm64")
    ]


def test_line_ends_are_read_as_they_are(tmp_path: Path) -> None:
    write(tmp_path / "bases/a/1/Dockerfile_amd64", "FROM x\r\n")
    assert dockerfiles(tmp_path) == {"bases/a/1/Dockerfile_amd64": "FROM x\r\n"}


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutsideError) as caught:
        dockerfiles(tmp_path)
    assert str(caught.value) == f"{tmp_path}/bases: cannot be read: No such file or directory"


def test_a_temporary_folder_is_removed(tmp_path: Path) -> None:
    with temporary_folder("dfgen-x-") as folder:
        (folder / "a").write_text("1")
    assert folder.name.startswith("dfgen-x-")
    assert not folder.exists()


def test_a_failed_write_in_a_temporary_folder_is_an_error() -> None:
    with pytest.raises(OutsideError) as caught, temporary_folder("dfgen-x-") as folder:
        (folder / "missing" / "file").write_text("1")
    assert str(caught.value) == (
        "temporary files cannot be written: No such file or directory;"
        " make room, or set TMPDIR to another folder"
    )
    assert not folder.exists()
