"""Read the files of package managers from an image's layers, without unpacking them to disk.

Whiteouts: https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dfgen.errors import CheckError
from dfgen.oci.layers import OPAQUE, WHITEOUT, Layer, open_layer

DPKG = "var/lib/dpkg/status"
DPKG_FOLDER = "var/lib/dpkg/status.d"  # distroless images have a file for each package
APK = ("lib/apk/db/installed", "usr/lib/apk/db/installed")
RPM = ("var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/rpmdb.sqlite")
# In the order of os-release(5): the first one that exists is used.
OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
# rpm databases in unsupported formats, with the format's name.
UNSUPPORTED = {
    f"{folder}/{name}": format_name
    for folder in ("var/lib/rpm", "usr/lib/sysimage/rpm")
    for name, format_name in (("Packages", "Berkeley DB"), ("Packages.db", "ndb"))
}
LARGEST = 256 * 2**20  # bytes of all these files in one layer, which are read into memory

_FILES = {DPKG, *APK, *RPM, *(f"{path}-wal" for path in RPM), *OS_RELEASE, *UNSUPPORTED}


def _parents(path: str) -> Iterator[str]:
    """Yield the folders above a path, from the nearest to the root, which is an empty string."""
    while path:
        path = path.rpartition("/")[0]
        yield path


_ABOVE = {parent for path in (*_FILES, f"{DPKG_FOLDER}/x") for parent in _parents(path)}


@dataclass(frozen=True, slots=True)
class _Scan:
    """The package managers' files in one layer, and the paths of lower layers that it hides.

    A hidden path also hides everything below it; with a trailing `/`, only what is below it.
    """

    files: Mapping[str, bytes]
    hides: Set[str]


def package_files(layers: Sequence[Path], limit: int = LARGEST) -> Mapping[str, bytes]:
    """Return the files of package managers by path, without the leading `/`; `layers` start with the lowest.

    Databases in an unsupported format (`UNSUPPORTED`) are returned empty.
    Raises CheckError if a layer cannot be read or has more than `limit` bytes of such files.
    """
    found: dict[str, bytes] = {}
    hidden: set[str] = set()
    # From the top down: a layer hides files of the layers below it, never its own.
    for layer in reversed(layers):
        scan = _scan(layer, limit)
        for path, content in scan.files.items():
            if not _is_hidden(path, hidden):
                found[path] = content
        hidden |= scan.hides
    return found


def _is_hidden(path: str, hidden: Set[str]) -> bool:
    return path in hidden or any(above in hidden or f"{above}/" in hidden for above in _parents(path))


@lru_cache(maxsize=8)  # the images of a run share their lowest layers, and blobs never change
def _scan(layer: Path, limit: int) -> _Scan:
    files: dict[str, bytes] = {}
    hides: set[str] = set()
    with open_layer(layer) as entries:
        for entry in entries:
            path = entry.name.removeprefix("./").strip("/")
            hides.update(_hides(path, entry))
            if _is_wanted(path):
                content = _content(entries, entry, path, limit, sum(map(len, files.values())))
                # A path may appear twice in a layer; the last entry wins, also if it is not a file.
                if entry.isreg():
                    files[path] = content
                else:
                    files.pop(path, None)
    return _Scan(files, hides)


def _hides(path: str, entry: tarfile.TarInfo) -> Iterator[str]:
    """Yield the path of lower layers that an entry hides, if it leads to a file of a package manager."""
    folder, _, name = path.rpartition("/")
    if name == OPAQUE:
        yield f"{folder}/"
        return
    if name.startswith(WHITEOUT):
        path = f"{folder}/{name.removeprefix(WHITEOUT)}".lstrip("/")
    elif entry.isdir() and not _is_wanted(path):
        return  # a folder is merged with the same folder of lower layers; any other type replaces it
    if path in _ABOVE or _is_wanted(path):
        yield path


def _is_wanted(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return path in _FILES or (folder == DPKG_FOLDER and not name.startswith(WHITEOUT))


def _content(layer: Layer, entry: tarfile.TarInfo, path: str, limit: int, used: int) -> bytes:
    if entry.islnk():
        raise CheckError(f"/{path}: is a hard link in its layer, expected a regular file")
    if path in UNSUPPORTED or not entry.isreg():
        return b""
    if entry.size > limit - used:
        raise CheckError(f"/{path}: the package databases of one layer exceed {limit} bytes")
    file = layer.content(entry)
    return file.read() if file else b""
