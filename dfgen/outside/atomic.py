"""A file that is there whole or not at all: written beside, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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
