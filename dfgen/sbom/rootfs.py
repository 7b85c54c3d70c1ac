"""The files of package managers in an image, as its layers leave them; nothing is unpacked to disk."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dfgen.errors import CheckError

DPKG = "var/lib/dpkg/status"
DPKG_FOLDER = "var/lib/dpkg/status.d"  # of distroless images: a file for each package
APK = ("lib/apk/db/installed", "usr/lib/apk/db/installed")
RPM = ("var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/rpmdb.sqlite")
OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
# Databases in forms of rpm that are not read, and how they are called.
UNREAD = {
    f"{folder}/{name}": form
    for folder in ("var/lib/rpm", "usr/lib/sysimage/rpm")
    for name, form in (("Packages", "Berkeley DB"), ("Packages.db", "ndb"))
}
LARGEST = 256 * 2**20  # bytes of all these files in one layer

_FILES = {DPKG, *APK, *RPM, *(f"{path}-wal" for path in RPM), *OS_RELEASE, *UNREAD}
_OPAQUE = ".wh..wh..opq"
_WHITEOUT = ".wh."
_ZSTD = b"\x28\xb5\x2f\xfd"


def _parents(path: str) -> Iterator[str]:
    """Every folder above a path, the nearest first; the last one is the root, which is empty."""
    while path:
        path = path.rpartition("/")[0]
        yield path


_ABOVE = {parent for path in (*_FILES, f"{DPKG_FOLDER}/x") for parent in _parents(path)}


@dataclass(frozen=True, slots=True)
class _Scan:
    """What one layer says: the files it has, and what it hides of the layers below it.

    A hidden path hides all below it too; one that ends in `/` only what is below it.
    """

    files: Mapping[str, bytes]
    hides: Set[str]


def package_files(layers: Sequence[Path], limit: int = LARGEST) -> Mapping[str, bytes]:
    """Read the files of package managers, by their path without the first `/`; layers come lowest first.

    Of a database that is not read (`UNREAD`) only that it is there.
    Raises CheckError if a layer cannot be read or has more than `limit` bytes of such files.
    """
    found: dict[str, bytes] = {}
    hidden: set[str] = set()
    for layer in reversed(layers):
        scan = _scan(layer, limit)
        for path, content in scan.files.items():
            if not _is_hidden(path, hidden):
                found[path] = content
        hidden |= scan.hides
    return found


def _is_hidden(path: str, hidden: Set[str]) -> bool:
    return path in hidden or any(above in hidden or f"{above}/" in hidden for above in _parents(path))


@lru_cache(maxsize=8)  # images of one run share their lowest layers, and blobs never change
def _scan(layer: Path, limit: int) -> _Scan:
    files: dict[str, bytes] = {}
    hides: set[str] = set()
    try:
        _check_form(layer)
        with tarfile.open(layer, "r|*") as tar:
            for entry in tar:
                path = entry.name.removeprefix("./").strip("/")
                hides.update(_hides(path, entry))
                if _is_wanted(path):
                    files[path] = _content(tar, entry, path, limit, sum(map(len, files.values())))
                    if not entry.isreg():
                        del files[path]
    except (OSError, EOFError, tarfile.TarError) as error:
        expected = "expected a tar, plain or in gzip"
        raise CheckError(f"{layer}: the layer cannot be read: {error}; {expected}") from error
    return _Scan(files, hides)


def _check_form(layer: Path) -> None:
    with layer.open("rb") as file:
        if file.read(len(_ZSTD)) == _ZSTD:
            raise tarfile.ReadError("it is compressed with zstd")


def _hides(path: str, entry: tarfile.TarInfo) -> Iterator[str]:
    """What an entry hides of lower layers, among all that leads to a file that is wanted."""
    folder, _, name = path.rpartition("/")
    if name == _OPAQUE:
        yield f"{folder}/"
        return
    if name.startswith(_WHITEOUT):
        path = f"{folder}/{name.removeprefix(_WHITEOUT)}".lstrip("/")
    elif entry.isdir() and not _is_wanted(path):
        return
    if path in _ABOVE or _is_wanted(path):
        yield path


def _is_wanted(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return path in _FILES or (folder == DPKG_FOLDER and not name.startswith(_WHITEOUT))


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo, path: str, limit: int, used: int) -> bytes:
    if entry.islnk():
        raise CheckError(f"/{path}: is a hard link in its layer, expected a file of its own")
    if path in UNREAD or not entry.isreg():
        return b""
    if entry.size > limit - used:
        raise CheckError(f"/{path}: the package databases of a layer have more than {limit} bytes")
    file = tar.extractfile(entry)
    return file.read() if file else b""
