"""Read the package databases of dpkg, apk and rpm, and os-release.

rpm's database is SQLite with a binary header for each package:
https://rpm-software-management.github.io/rpm/manual/format_header.html
"""

from __future__ import annotations

import shlex
import sqlite3
import struct
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from dfgen.errors import CheckError, listing
from dfgen.filetree.files import temporary_folder
from dfgen.sbom.model import Installed, System
from dfgen.sbom.rootfs import APK, DPKG, DPKG_FOLDER, OS_RELEASE, RPM

# States of a package (the third word of `Status`) in which it is not installed.
_NOT_INSTALLED = ("not-installed", "config-files")


def dpkg(files: Mapping[str, bytes]) -> Iterator[tuple[str, list[Installed]]]:
    """Yield the path and the packages of each dpkg database. Raises CheckError if it is damaged."""
    for path, data in sorted(files.items()):
        # Distroless images also have a file with checksums for each package.
        is_part = path.startswith(f"{DPKG_FOLDER}/") and not path.endswith(".md5sums")
        if path == DPKG or is_part:
            yield path, [_deb(path, one) for one in _stanzas(path, data) if not _is_removed(one)]


def apk(files: Mapping[str, bytes]) -> Iterator[tuple[str, list[Installed]]]:
    """Yield the path and the packages of each apk database. Raises CheckError if it is damaged."""
    for path in APK:
        if path in files:
            yield path, [_apk(path, one) for one in _stanzas(path, files[path])]


def _stanzas(path: str, data: bytes) -> Iterator[Mapping[str, str]]:
    """Yield the fields of each paragraph; of multi-line fields only the first line."""
    fields: dict[str, str] = {}
    for number, line in enumerate(data.decode(errors="replace").splitlines(), start=1):
        name, colon, value = line.partition(":")
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif not line[0].isspace():  # else the continuation of a multi-line field
            if not colon:
                raise CheckError(f"/{path}: line {number} is {line[:40]!r}, expected `FIELD: VALUE`")
            fields.setdefault(name, value.strip())
    if fields:
        yield fields


def _is_removed(fields: Mapping[str, str]) -> bool:
    return fields.get("Status", "").endswith(_NOT_INSTALLED)


def _deb(path: str, fields: Mapping[str, str]) -> Installed:
    name, version = _needed(path, fields, "Package"), _needed(path, fields, "Version")
    # `Source: NAME (VERSION)`; the version is only there if it differs from the package's.
    source, _, source_version = fields.get("Source", "").partition(" ")
    upstream = f"{source}@{source_version.strip('()')}" if source_version else source
    return Installed(
        kind="deb",
        name=name,
        version=version,
        architecture=fields.get("Architecture", ""),
        upstream=upstream,
    )


def _apk(path: str, fields: Mapping[str, str]) -> Installed:
    name, origin = _needed(path, fields, "P"), fields.get("o", "")
    return Installed(
        kind="apk",
        name=name,
        version=_needed(path, fields, "V"),
        architecture=fields.get("A", ""),
        upstream=origin if origin != name else "",
    )


def _needed(path: str, fields: Mapping[str, str], name: str) -> str:
    value = fields.get(name)
    if not value:
        first = "; ".join(f"{key}: {text}" for key, text in list(fields.items())[:2])
        raise CheckError(f"/{path}: the package with {first[:80]!r} has no {name}")
    return value


def system(files: Mapping[str, bytes]) -> System:
    """Read ID and VERSION_ID from os-release; values that a shell could not parse count as missing."""
    data = next((files[path] for path in OS_RELEASE if path in files), b"")
    fields = dict(_field(line) for line in data.decode(errors="replace").splitlines() if "=" in line)
    return System(id=fields.get("ID", ""), version=fields.get("VERSION_ID", ""))


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    try:
        return name.strip(), "".join(shlex.split(value))
    except ValueError:
        return name.strip(), ""


# Tags of a package header, and the types of their values.
_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH, _SOURCE = 1000, 1001, 1002, 1003, 1022, 1044
_INT32, _STRING, _TRANSLATED = 4, 6, 9
_KEY = "gpg-pubkey"  # rpm stores trusted keys in the same table as packages


def rpm(files: Mapping[str, bytes]) -> Iterator[tuple[str, list[Installed]]]:
    """Yield the path and the packages of each rpm database.

    Raises CheckError if a database is broken, ExternalError if no temporary folder can be written.
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
        raise CheckError(f"/{path}: the header of a package is missing tag {listing(missing)}")
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
    """Yield the tags of a header with their values.

    Layout: the number of tags and of bytes of values; tag, type, offset and count of each tag; the values.
    """
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
