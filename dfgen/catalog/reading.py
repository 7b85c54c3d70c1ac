"""Read the catalog's own files: only regular files inside of its folder.

git carries links, so a pull request can bring one to the CI that renders it. The content of the file that it
leads to would appear in messages, and a FIFO or a device would never end.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dfgen.errors import InputError, Place, Problem

_MAX_SIZE = 64_000_000  # bytes


def check_folder(root: Path, path: str) -> None:
    """Raise InputError if a part of a folder's path, below the catalog's root, is a link.

    Writing there would change another version, or files of another catalog.
    """
    at, shown = str(root), ""
    for part in path.split("/"):
        at, shown = f"{at}/{part}", f"{shown}/{part}"
        if os.path.islink(at):  # noqa: PTH114 - a render checks thousands of folders
            advice = "dfgen does not write through links; put the folder itself there"
            raise InputError(Problem(Place(shown[1:]), f"is a link; {advice}"))


def read_text(root: Path, path: str) -> str:
    """Read a text file of the catalog as `read_bytes` does; raises InputError if it is not UTF-8 as well."""
    try:
        return read_bytes(root, path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(Problem(Place(path), "is not UTF-8 text; save it as UTF-8")) from error


def read_bytes(root: Path, path: str) -> bytes:
    """Read a file of the catalog; `path` is relative to its root.

    Raises FileNotFoundError if there is nothing, and InputError for a link out of the catalog or to nothing,
    a device, a FIFO or a folder, and if it cannot be read.
    """
    real = (root / path).resolve()
    top = (root / path.partition("/")[0]).resolve()  # bases/; files beside it may hold secrets
    is_inside = real.is_relative_to(top) and real.is_relative_to(root.resolve())
    if not is_inside or ((root / path).is_symlink() and not real.exists()):
        advice = "leads out of the catalog's folder, or to nothing; put the file itself there"
        raise InputError(Problem(Place(path), f"is a link that {advice}"))
    try:
        # O_NONBLOCK: opening a FIFO would block. O_NOFOLLOW: the path may have changed since the check.
        handle = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return _read(handle, path)
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(Problem(Place(path), f"cannot be read: {error.strerror}")) from error


def _read(handle: int, path: str) -> bytes:
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        raise InputError(Problem(Place(path), "is not a regular file; put a file there"))
    if status.st_size > _MAX_SIZE:
        raise InputError(Problem(Place(path), f"is too large; at most {_MAX_SIZE:,} bytes are read"))
    with open(handle, "rb", closefd=False) as file:
        return file.read(_MAX_SIZE)
