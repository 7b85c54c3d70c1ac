"""rpm's database in SQLite, and the headers of packages in it, as rpm's own documentation describes both."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from dfgen.errors import CheckError, listing
from dfgen.filetree.files import temporary_folder
from dfgen.images.sbom import Installed
from dfgen.outside.packages.files import RPM

# The tags of a header that are read, and the types of their values.
_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH, _SOURCE = 1000, 1001, 1002, 1003, 1022, 1044
_INT32, _STRING, _TRANSLATED = 4, 6, 9
_KEY = "gpg-pubkey"  # a key that rpm trusts is kept like a package, and is none


def rpm(files: Mapping[str, bytes]) -> Iterator[tuple[str, list[Installed]]]:
    """Yield the path and the packages of each rpm database.

    Raises CheckError if a database is broken, OutsideError if no temporary folder can be written.
    """
    for path in RPM:
        if path in files:
            found = (
                _package(path, blob) for blob in _blobs(path, files[path], files.get(f"{path}-wal", b""))
            )
            yield path, [one for one in found if one.name != _KEY]


def _blobs(path: str, data: bytes, log: bytes) -> list[bytes]:
    try:
        with temporary_folder("dfgen-rpm-") as folder:
            database = folder / "rpmdb.sqlite"
            database.write_bytes(data)
            # SQLite looks for its write-ahead log under this name, and recovers the commits that it holds.
            (folder / "rpmdb.sqlite-wal").write_bytes(log)
            return _rows(database)
    except (sqlite3.Error, TypeError) as error:
        raise CheckError(f"/{path}: is not a database of rpm: {error}") from error


def _rows(database: Path) -> list[bytes]:
    with closing(sqlite3.connect(database)) as connection:
        return [bytes(row[0]) for row in connection.execute("SELECT blob FROM Packages ORDER BY hnum")]


def _package(path: str, blob: bytes) -> Installed:
    try:
        tags = dict(_tags(blob))
    except (struct.error, ValueError) as error:
        raise CheckError(f"/{path}: the header of a package cannot be read: {error}") from error
    if missing := [str(tag) for tag in (_NAME, _VERSION, _RELEASE) if tag not in tags]:
        raise CheckError(f"/{path}: the header of a package lacks tag {listing(missing)}")
    epoch = tags.get(_EPOCH)
    return Installed(
        kind="rpm",
        name=str(tags[_NAME]),
        version=f"{tags[_VERSION]}-{tags[_RELEASE]}",
        architecture=str(tags.get(_ARCH, "")),
        upstream=str(tags.get(_SOURCE, "")),
        epoch=epoch if isinstance(epoch, int) else None,
    )


def _tags(blob: bytes) -> Iterator[tuple[int, str | int]]:
    """Read a header: how many tags and bytes of values; of each tag type, offset, count; the values."""
    if len(blob) < 8:
        raise ValueError(f"it has {len(blob)} bytes")
    count, length = struct.unpack_from(">2I", blob)
    values = blob[8 + 16 * count :]
    if len(values) != length:
        raise ValueError(f"it has {len(values)} bytes of values, expected {length}")
    for at in range(count):
        tag, kind, offset, _ = struct.unpack_from(">4i", blob, 8 + 16 * at)
        if kind in (_STRING, _TRANSLATED):
            yield tag, values[offset : values.index(b"\0", offset)].decode(errors="replace")
        elif kind == _INT32:
            yield tag, struct.unpack_from(">i", values, offset)[0]
