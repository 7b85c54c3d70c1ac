"""Atomic writes, and the Dockerfiles of a catalog on disk."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dfgen.errors import ExternalError
from dfgen.filetree import Folder
from dfgen.filetree.files import all_dockerfiles, dockerfiles, remove, temporary_folder, write


def test_write_creates_missing_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "Dockerfile_amd64"
    write(path, "FROM x\r\né\n")
    assert path.read_bytes() == "FROM x\r\né\n".encode()
    assert [one.name for one in path.parent.iterdir()] == ["Dockerfile_amd64"]


def test_a_new_file_has_the_default_mode(tmp_path: Path) -> None:
    write(tmp_path / "new", "x")
    (tmp_path / "other").write_text("x")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_write_keeps_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o750)
    write(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o750)


def test_a_failed_write_keeps_the_old_file_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write(path, "half\ud800")
    assert (path.read_text(), [one.name for one in tmp_path.iterdir()]) == ("old", ["file"])


def test_a_write_error_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    with pytest.raises(ExternalError) as caught:
        write(tmp_path / "folder", "x")
    assert str(caught.value) == f"{tmp_path}/folder: cannot be written: Is a directory"
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]


def test_remove_deletes_an_empty_folder_too(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / "1.0" / name, "x")
    remove(tmp_path / "1.0" / "a")
    assert (tmp_path / "1.0" / "b").exists()
    remove(tmp_path / "1.0" / "b")
    assert not (tmp_path / "1.0").exists()


def test_an_error_of_remove_names_the_path(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ExternalError) as caught:
        remove(tmp_path / "folder")
    assert str(caught.value).startswith(f"{tmp_path}/folder: cannot be removed: ")


def test_all_dockerfiles_of_a_catalog_are_read_in_order(tmp_path: Path) -> None:
    expected = ("b/1/Dockerfile_arm64", "b/1/Dockerfile_amd64", "a/2/Dockerfile_amd64")
    other = ("a/Dockerfile_amd64", "a/2/Dockerfile", "a/2/.Dockerfile_amd64.tmp", "a/2/deep/Dockerfile_amd64")
    for name in (*expected, *other):
        write(tmp_path / "bases" / name, name)
    (tmp_path / "bases" / "link").symlink_to(tmp_path / "bases" / "a")
    assert list(all_dockerfiles(tmp_path, "bases").items()) == [
        (f"bases/{name}", name)
        for name in ("a/2/Dockerfile_amd64", "b/1/Dockerfile_amd64", "b/1/Dockerfile_arm64")
    ]


def test_line_ends_are_not_converted(tmp_path: Path) -> None:
    write(tmp_path / "a", "FROM x\r\n")
    assert dockerfiles(tmp_path, ["a"]) == {"a": "FROM x\r\n"}


def test_missing_dockerfiles_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "a", "FROM x")
    assert dockerfiles(tmp_path, ["b", "a/b"]) == {}


def test_an_unreadable_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExternalError) as caught:
        all_dockerfiles(tmp_path, "bases")
    assert str(caught.value) == f"{tmp_path}/bases: cannot be read: No such file or directory"


def test_a_temporary_folder_is_removed(tmp_path: Path) -> None:
    with temporary_folder("dfgen-x-") as folder:
        (folder / "a").write_text("1")
    assert folder.name.startswith("dfgen-x-")
    assert not folder.exists()


def test_a_failed_write_in_a_temporary_folder_is_an_error() -> None:
    with pytest.raises(ExternalError) as caught, temporary_folder("dfgen-x-") as folder:
        (folder / "missing" / "file").write_text("1")
    assert str(caught.value) == (
        "temporary files cannot be written: No such file or directory;"
        " free up space, or set TMPDIR to another folder"
    )
    assert not folder.exists()


WRITER = """
import os, signal, sys
from pathlib import Path
from dfgen.filetree import files
def killed(event, values):
    if event == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(killed)
files.write(Path(sys.argv[1]), "new", durable=False)
"""


@pytest.mark.parametrize("event", ["os.rename", "os.truncate"])
def test_the_next_writer_takes_over_the_file_of_a_killed_one(event: str, tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile_amd64"
    done = subprocess.run([sys.executable, "-c", WRITER, path, event], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [one.name for one in tmp_path.iterdir()] == [".Dockerfile_amd64.dfgen-tmp"]
    write(path, "other")
    assert ({one.name: one.read_text() for one in tmp_path.iterdir()}) == {"Dockerfile_amd64": "other"}


@pytest.mark.parametrize("event", ["os.rename", "os.truncate"])
def test_the_file_of_a_killed_writer_is_no_input_of_a_build(event: str, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", WRITER, tmp_path / "files/a", event], check=False, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert dict(Folder(tmp_path).entries("files")) == {}
    assert [*(tmp_path / "files").iterdir()] == []


def test_the_file_of_a_running_writer_is_kept(tmp_path: Path) -> None:
    path = tmp_path / ".a.dfgen-tmp"
    path.write_text("x")
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert dict(Folder(tmp_path).entries("")) == {}
        assert path.exists()


def test_writers_of_one_file_wait_for_each_other(tmp_path: Path) -> None:
    texts = [str(number) * 1000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            [*pool.map(lambda text: write(tmp_path / "a", text, durable=False), texts)]
            assert (tmp_path / "a").read_text() in texts
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_a_temporary_file_that_is_something_else_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / ".a.dfgen-tmp"
    {"link": lambda: path.symlink_to("/dev/null"), "fifo": lambda: os.mkfifo(path), "folder": path.mkdir}[
        kind
    ]()
    with pytest.raises(ExternalError, match="a: cannot be written: "):
        write(tmp_path / "a", "x")
