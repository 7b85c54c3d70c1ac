"""Atomic writes (to a temporary file, then renamed), and reading many text files."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dfgen.errors import ExternalError, Place, Problem

_Named = str | os.PathLike[str]


@contextmanager
def renaming(temporary: _Named, target: _Named) -> Iterator[None]:
    """Rename the temporary file to the target after the block, or delete it if the block raises."""
    try:
        yield
        os.replace(temporary, target)  # noqa: PTH105 - accepts str as well
    except BaseException:  # KeyboardInterrupt must not leave the file behind either
        with suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108
        raise


@contextmanager
def replacing(target: Path, folder: Path, prefix: str = "") -> Iterator[Path]:
    """Yield a new file that replaces the target after the block, unless the block raises.

    `folder` is where the new file is created; it must be on the target's file system.
    """
    handle, name = tempfile.mkstemp(dir=folder, prefix=prefix)
    os.close(handle)
    with renaming(name, target):
        yield Path(name)


def fill(handle: int, data: bytes, *, durable: bool) -> None:
    """Write all of `data` to an open file; with `durable`, call fsync before returning."""
    while data:
        data = data[os.write(handle, data) :]
    if durable:
        os.fsync(handle)


# The ending of temporary files. Their names depend only on the target, so that the next run that writes it
# takes over the file of a killed run. `dfgen init` lets git ignore them, and no build gets them.
TEMPORARY = ".dfgen-tmp"


def is_temporary(name: str) -> bool:
    """Whether a file has the name of a temporary file of `write`."""
    return name.startswith(".") and name.endswith(TEMPORARY)


def discard(path: str) -> bool:
    """Delete the temporary file of a killed writer; False if it cannot be deleted.

    Returns True as well while a process writes the file, since it will be gone when that is finished.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)  # noqa: PTH108
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def write(path: Path, text: str, *, durable: bool = True) -> None:
    """Write a text file atomically and keep its mode.

    `durable` calls fsync before the rename, so that the file survives a crash of the machine. Generated files
    do without: waiting for the disk takes longer than the rest of a render.
    Raises ExternalError with the path if the file system refuses.
    """
    try:
        _write(os.fspath(path), text.encode(), durable)
    except OSError as error:
        raise ExternalError(Problem(Place(str(path)), f"cannot be written: {error.strerror}")) from error


def _write(path: str, data: bytes, durable: bool) -> None:
    # System calls instead of Path.open: a render writes thousands of files, and half of the time would go to
    # what Path.open adds.
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}{TEMPORARY}")  # noqa: PTH118
    handle = _new(temporary, folder)
    try:
        with renaming(temporary, path):
            with suppress(FileNotFoundError):
                os.fchmod(handle, os.stat(path).st_mode & 0o777)  # noqa: PTH116
            fill(handle, data, durable=durable)
    finally:
        os.close(handle)  # releases the lock, so that no other writer opens the file before it is renamed


def _new(path: str, folder: str) -> int:
    """Open a temporary file, empty and locked against other writers of the target."""
    # O_NOFOLLOW: a link could lead to any file. O_NONBLOCK: opening a FIFO would block.
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    while True:
        try:
            handle = os.open(path, flags, 0o666)  # the umask applies, as to any new file
        except FileNotFoundError:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if os.stat(path).st_ino == os.fstat(handle).st_ino:  # noqa: PTH116
                os.ftruncate(handle, 0)
                return handle
        except FileNotFoundError:
            pass  # the other writer, for which this one waited, has renamed the file
        except BaseException:  # KeyboardInterrupt must not leave the file behind
            os.close(handle)
            discard(path)
            raise
        os.close(handle)


def remove(path: Path) -> None:
    """Delete a file, and its folder if it is then empty."""
    try:
        path.unlink(missing_ok=True)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    except OSError as error:
        raise ExternalError(Problem(Place(str(path)), f"cannot be removed: {error.strerror}")) from error


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Yield a new temporary folder and remove it with the block. Raises ExternalError if writing fails."""
    try:
        with tempfile.TemporaryDirectory(prefix=prefix) as folder:
            yield Path(folder)
    except OSError as error:
        advice = "free up space, or set TMPDIR to another folder"
        message = f"temporary files cannot be written: {error.strerror or error}; {advice}"
        raise ExternalError(message) from error


def all_dockerfiles(root: Path, bases: str) -> dict[str, str]:
    """Read every per-architecture Dockerfile of a catalog; `bases` is its folder, relative to the root.

    Returns and raises as `dockerfiles`.
    """
    return dockerfiles(root, _find(root, bases))


def dockerfiles(root: Path, paths: Iterable[str]) -> dict[str, str]:
    """Read Dockerfiles by their paths relative to the root; missing files are left out.

    Bytes that are not UTF-8 become U+FFFD. A symbolic link is not followed: its text says where it leads.
    dfgen writes neither, but a diff can show both.
    Raises ExternalError with the path if a file or folder cannot be read.
    """
    found: dict[str, str] = {}
    folder = "" if root == Path() else f"{root}/"  # str: creating thousands of Path objects is slow
    try:
        for path in paths:
            with suppress(FileNotFoundError, NotADirectoryError):
                found[path] = _read(folder + path)
    except OSError as error:
        place = Place(str(error.filename))
        raise ExternalError(Problem(place, f"cannot be read: {error.strerror}")) from error
    return found


def _find(root: Path, bases: str) -> Iterator[str]:
    # BASES/FAMILY/VERSION/Dockerfile_ARCH: one scandir per folder is several times as fast as a glob.
    for family in _folders(root, bases):
        for version in _folders(root, family):
            with os.scandir(root / version) as entries:
                names = sorted(entry.name for entry in entries if entry.name.startswith("Dockerfile_"))
            yield from (f"{version}/{name}" for name in names)


def _folders(root: Path, path: str) -> list[str]:
    with os.scandir(root / path) as entries:
        return sorted(f"{path}/{entry.name}" for entry in entries if entry.is_dir(follow_symlinks=False))


def _read(path: str) -> str:
    try:
        # O_NOFOLLOW: a link could lead to any file of this machine, whose content a diff would then show.
        # O_NONBLOCK: opening a FIFO would block.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb", buffering=0) as file:  # noqa: PTH123
            return file.readall().decode("utf-8", errors="replace")
    except OSError as error:
        if error.errno == errno.ELOOP:
            target = os.readlink(os.fsencode(path))  # noqa: PTH115
            return f"a link to {target.decode('utf-8', errors='replace')}\n"
        error.filename = path  # an error of reading has no file name
        raise
