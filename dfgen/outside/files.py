"""Files, written so that nothing is ever half there: beside, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from dfgen.model.catalog import BASES
from dfgen.outside import atomic
from dfgen.outside.atomic import renaming
from dfgen.values.errors import OutsideError, Place, Problem


def write(path: Path, text: str, *, durable: bool = True) -> None:
    """Write a text file whole or not at all; its mode stays.

    A `durable` one is on the disk before the old one goes, whatever happens to the machine; what can be
    generated again does without, since waiting for the disk costs more than all the rest of a render.
    Errors: OutsideError naming the file.
    """
    try:
        mode = _mode(path)
        with renaming(path.with_name(f".{path.name}.{os.urandom(4).hex()}"), path) as beside:
            atomic.write(beside, text.encode(), durable=durable)
            if mode is not None:
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


def dockerfiles(root: Path, paths: Iterable[str] | None = None) -> dict[str, str]:
    """Read every per-architecture Dockerfile below the catalog, by its path relative to the root.

    With `paths`, read those of them that are there and look for no others.
    Bytes that are not UTF-8 become U+FFFD: such a file was not written by dfgen, and can still be shown.
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


def _read(path: Path | str) -> str:
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read().decode("utf-8", errors="replace")


def _read_all(root: Path, paths: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    folder = "" if root == Path() else f"{root}/"  # text, since a Path for each of thousands takes its time
    for path in paths:
        with suppress(FileNotFoundError, NotADirectoryError):
            found[path] = _read(folder + path)
    return found


def _mode(path: Path) -> int | None:
    """The mode that a file keeps, None for a new one; its folder is there afterwards."""
    try:
        return path.stat().st_mode & 0o777
    except (FileNotFoundError, NotADirectoryError):
        path.parent.mkdir(parents=True, exist_ok=True)
        return None
