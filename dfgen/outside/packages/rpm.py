"""rpm's database in SQLite, and the headers of packages in it, as rpm's own documentation describes both."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator, Mapping
from contextlib import closing

from dfgen.images.sbom import Installed
from dfgen.outside.packages.files import RPM
from dfgen.values.errors import CheckError, listing

# The tags of a header that are read, and the types of their values.
_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH, _SOURCE = 1000, 1001, 1002, 1003, 1022, 1044
_INT32, _STRING, _TRANSLATED = 4, 6, 9
_KEY = "gpg-pubkey"  # a key that rpm trusts is kept like a package, and is none

# Of SQLite's files: where the header says how it is written, the magic of a log, the bytes before its frames
# and before each frame's page.
_WRITTEN, _JOURNAL, _LOG = slice(18, 20), b"\x01\x01", (0x377F0682, 0x377F0683)
_LOG_HEADER, _FRAME_HEADER = 32, 24


def rpm(files: Mapping[str, bytes]) -> Iterator[tuple[str, list[Installed]]]:
    """Read rpm's databases: each by its path with its packages. Errors: CheckError for none of rpm's."""
    for path in RPM:
        if path in files:
            found = (
                _package(path, blob) for blob in _blobs(path, files[path], files.get(f"{path}-wal", b""))
            )
            yield path, [one for one in found if one.name != _KEY]


def _blobs(path: str, data: bytes, log: bytes) -> list[bytes]:
    try:
        with closing(sqlite3.connect(":memory:")) as database:
            database.deserialize(_with_log(data, log))
            return [bytes(row[0]) for row in database.execute("SELECT blob FROM Packages ORDER BY hnum")]
    except (sqlite3.Error, struct.error, TypeError) as error:
        raise CheckError(f"/{path}: is not a database of rpm: {error}") from error


def _with_log(data: bytes, log: bytes) -> bytes:
    """Bring what SQLite's write-ahead log has of the last commits into the database.

    rpm leaves the log there, whether or not it is in the database already: doing it again changes nothing.
    """
    pages = bytearray(data)
    if len(log) > _LOG_HEADER and struct.unpack_from(">I", log)[0] in _LOG:
        for number, page in _committed(log):
            at = (number - 1) * len(page)
            pages.extend(bytes(max(0, at + len(page) - len(pages))))
            pages[at : at + len(page)] = page
    pages[_WRITTEN] = _JOURNAL  # else SQLite looks for a log beside the file
    return bytes(pages)


def _committed(log: bytes) -> list[tuple[int, bytes]]:
    """Give the pages of a log up to its last commit, by number; older ones behind them have another salt."""
    size, _, *salt = struct.unpack_from(">4I", log, 8)
    found: list[tuple[int, bytes]] = []
    count = 0
    for at in range(_LOG_HEADER, len(log) - _FRAME_HEADER - size + 1, _FRAME_HEADER + size):
        number, pages, *its_salt = struct.unpack_from(">4I", log, at)
        if its_salt != salt:
            break
        found.append((number, log[at + _FRAME_HEADER : at + _FRAME_HEADER + size]))
        count = len(found) if pages else count
    return found[:count]


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
