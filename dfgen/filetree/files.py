"""Files, written so that nothing is ever half there: beside, then renamed."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from dfgen.catalog.model import BASES
from dfgen.errors import OutsideError, Place, Problem

_Named = str | os.PathLike[str]


@contextmanager
def renaming(beside: _Named, target: _Named) -> Iterator[None]:
    """Make what is at a path when the block ends well the target; otherwise it goes."""
    try:
        yield
        os.replace(beside, target)  # noqa: PTH105 - for text as well
    except BaseException:  # a Ctrl-C too leaves nothing behind
        with suppress(FileNotFoundError):
            os.unlink(beside)  # noqa: PTH108
        raise


@contextmanager
def replacing(target: Path, folder: Path, prefix: str = "") -> Iterator[Path]:
    """Yield a new file in a folder of the same file system; when the block ends well it is the target."""
    handle, name = tempfile.mkstemp(dir=folder, prefix=prefix)
    os.close(handle)
    with renaming(name, target):
        yield Path(name)


def fill(handle: int, data: bytes, *, durable: bool) -> None:
    """Write all of it to an open file; a `durable` one is on the disk before this returns."""
    while data:
        data = data[os.write(handle, data) :]
    if durable:
        os.fsync(handle)


_FIRST = int.from_bytes(os.urandom(4))  # names of files that are being written: none twice
_COUNT = count()


def write(path: Path, text: str, *, durable: bool = True) -> None:
    """Write a text file whole or not at all; its mode stays.

    A `durable` one is on the disk before the old one goes, whatever happens to the machine; what can be
    generated again does without, since waiting for the disk costs more than all the rest of a render.
    Errors: OutsideError naming the file.
    """
    try:
        _write(os.fspath(path), text.encode(), durable)
    except OSError as error:
        raise OutsideError(Problem(Place(str(path)), f"cannot be written: {error.strerror}")) from error


def _write(path: str, data: bytes, durable: bool) -> None:
    # Plain calls of the system: a render writes thousands of files, and what `Path.open` adds would be half.
    folder, name = os.path.split(path)
    beside = os.path.join(folder, f".{name}.{(_FIRST + next(_COUNT)) & 0xFFFFFFFF:08x}")  # noqa: PTH118
    handle = _new(beside, folder)
    with renaming(beside, path):
        try:
            with suppress(FileNotFoundError):
                os.fchmod(handle, os.stat(path).st_mode & 0o777)  # noqa: PTH116
            fill(handle, data, durable=durable)
        finally:
            os.close(handle)


def _new(path: str, folder: str) -> int:
    """Open a file that is not there yet, with the mode of every new file; its folder is made."""
    how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, how, 0o666)
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        return os.open(path, how, 0o666)


def remove(path: Path) -> None:
    """Remove a file, and its folder when that is empty then."""
    try:
        path.unlink(missing_ok=True)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    except OSError as error:
        raise OutsideError(Problem(Place(str(path)), f"cannot be removed: {error.strerror}")) from error


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Yield a new temporary folder and remove it with the block. Raises OutsideError if writing fails."""
    try:
        with tempfile.TemporaryDirectory(prefix=prefix) as folder:
            yield Path(folder)
    except OSError as error:
        advice = "make room, or set TMPDIR to another folder"
        message = f"temporary files cannot be written: {error.strerror or error}; {advice}"
        raise OutsideError(message) from error


def dockerfiles(root: Path, paths: Iterable[str] | None = None) -> dict[str, str]:
    """Read every per-architecture Dockerfile below the catalog, by its path relative to the root.

    With `paths`, read those of them that are there and look for no others.
    Bytes that are not UTF-8 become U+FFFD, and a link is a text that says where it leads: such a file was not
    written by dfgen, and can still be shown.
    """
    try:
        return _read_all(root, _find(root) if paths is None else paths)
    except OSError as error:
        raise OutsideError(
            Problem(Place(str(error.filename)), f"cannot be read: {error.strerror}")
        ) from error


def _find(root: Path) -> Iterator[str]:
    # bases/FAMILY/VERSION/Dockerfile_ARCH: one pass of scandir is several times as fast as a glob.
    for family in _folders(root, BASES):
        for version in _folders(root, family):
            with os.scandir(root / version) as entries:
                names = sorted(entry.name for entry in entries if entry.name.startswith("Dockerfile_"))
            yield from (f"{version}/{name}" for name in names)


def _folders(root: Path, path: str) -> list[str]:
    with os.scandir(root / path) as entries:
        return sorted(f"{path}/{entry.name}" for entry in entries if entry.is_dir(follow_symlinks=False))


def _read(path: str) -> str:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb", buffering=0) as file:  # noqa: PTH123
            return file.readall().decode("utf-8", errors="replace")
    except OSError as error:
        if error.errno == errno.ELOOP:  # where it leads is anybody's, and what is there is not shown
            target = os.readlink(os.fsencode(path))  # noqa: PTH115
            return f"a link to {target.decode('utf-8', errors='replace')}\n"
        error.filename = path
        raise


def _read_all(root: Path, paths: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    folder = "" if root == Path() else f"{root}/"  # text, since a Path for each of thousands takes its time
    for path in paths:
        with suppress(FileNotFoundError, NotADirectoryError):
            found[path] = _read(folder + path)
    return found
