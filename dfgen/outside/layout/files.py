"""Files that are there whole or not at all, and locks that end with the process that holds them."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dfgen.errors import OutsideError
from dfgen.filetree.files import fill, replacing


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into an OutsideError that names the path."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise OutsideError(f"{path}: cannot be written: {why}; make room or choose another folder") from error


def write(target: Path, data: bytes, scratch: Path) -> None:
    """Write a file that appears only when it is whole; `scratch` is a folder of the same file system."""
    with writing(target):
        scratch.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, scratch) as beside:
            with beside.open("wb") as file:
                fill(file.fileno(), data, durable=True)
            beside.chmod(0o644)


def move(source: Path, target: Path, scratch: Path) -> None:
    """Put a file where another may be already; across file systems it is copied, and still appears whole."""
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            source.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            scratch.mkdir(parents=True, exist_ok=True)
            with replacing(target, scratch) as beside:
                shutil.copyfile(source, beside)
                beside.chmod(0o644)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only one, of all threads and processes, between here and the end of the block."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class Writers:
    """Who writes into a folder holds a share of its lock, so that nobody takes their work for garbage.

    The share ends with the object or the process, however it ends.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._handle, self._guard = path, -1, threading.Lock()

    def join(self) -> None:
        """Take the share, once."""
        with self._guard:
            if self._handle >= 0:
                return
            with writing(self._path):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
                fcntl.flock(self._handle, fcntl.LOCK_SH)
            weakref.finalize(self, os.close, self._handle)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Say whether nobody else is writing; if so, nobody begins before the end of the block."""
        self.join()
        alone = False
        with suppress(BlockingIOError):
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        try:
            yield alone
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_SH)
