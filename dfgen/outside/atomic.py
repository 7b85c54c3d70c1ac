"""A file that is there whole or not at all: written beside, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def renaming(path: Path, target: Path) -> Iterator[Path]:
    """Yield a path; what is there when the block ends well is the target, and otherwise it goes."""
    try:
        yield path
        path.replace(target)
    except BaseException:  # a Ctrl-C too leaves nothing behind
        path.unlink(missing_ok=True)
        raise


@contextmanager
def replacing(target: Path, folder: Path, prefix: str = "") -> Iterator[Path]:
    """Yield a new file in a folder of the same file system; when the block ends well it is the target."""
    handle, name = tempfile.mkstemp(dir=folder, prefix=prefix)
    os.close(handle)
    with renaming(Path(name), target) as path:
        yield path


def write(path: Path, data: bytes, *, durable: bool) -> None:
    """Fill a file; a `durable` one is on the disk before this returns."""
    with path.open("wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
