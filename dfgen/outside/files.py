"""Files, written so that nothing is ever half there: beside, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dfgen.model.catalog import BASES
from dfgen.outside import atomic
from dfgen.outside.atomic import replacing
from dfgen.values.errors import OutsideError, Place, Problem


def write(path: Path, text: str, *, durable: bool = True) -> None:
    """Write a text file whole or not at all; its mode stays.

    A `durable` one is on the disk before the old one goes, whatever happens to the machine; what can be
    generated again does without, since waiting for the disk costs more than all the rest of a render.
    Errors: OutsideError naming the file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        with replacing(path, path.parent, prefix=f".{path.name}.") as beside:
            atomic.write(beside, text.encode(), durable=durable)
            beside.chmod(mode)
    except OSError as error:
        raise OutsideError(Problem(Place(str(path)), f"cannot be written: {error.strerror}")) from error


def remove(path: Path) -> None:
    """Remove a file, and its folder when that is empty then."""
    try:
        path.unlink(missing_ok=True)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    except OSError as error:
        raise OutsideError(Problem(Place(str(path)), f"cannot be removed: {error.strerror}")) from error


def dockerfiles(root: Path) -> dict[str, str]:
    """Read every per-architecture Dockerfile below the catalog, by its path relative to the root.

    Bytes that are not UTF-8 become U+FFFD: such a file was not written by dfgen, and can still be shown.
    """
    try:
        return {str(path.relative_to(root)): _read(path) for path in _find(root / BASES)}
    except OSError as error:
        raise OutsideError(
            Problem(Place(str(error.filename)), f"cannot be read: {error.strerror}")
        ) from error


def _find(bases: Path) -> Iterator[Path]:
    # bases/FAMILY/VERSION/Dockerfile_ARCH: one pass of scandir is several times as fast as a glob.
    for family in _folders(bases):
        for version in _folders(Path(family.path)):
            with os.scandir(version.path) as entries:
                yield from sorted(Path(one.path) for one in entries if one.name.startswith("Dockerfile_"))


def _folders(path: Path) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        folders = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    return sorted(folders, key=lambda entry: entry.name)


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="replace")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
