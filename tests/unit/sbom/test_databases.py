"""Packages read from the databases of dpkg, apk and rpm."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from dfgen.errors import CheckError
from dfgen.sbom.cyclonedx import purl
from dfgen.sbom.generate import read
from dfgen.sbom.model import Contents, System
from tests.unit.sbom.layers import APK, DEBIAN, STATUS, header

DPKG, PART, ALPINE = "var/lib/dpkg/status", "var/lib/dpkg/status.d/", "lib/apk/db/installed"
RPM = "usr/lib/sysimage/rpm/rpmdb.sqlite"
SOURCE = "bash-5.2-9.el9.src.rpm"
BASH = header([(1000, "bash"), (1001, "5.2"), (1002, "9.el9"), (1003, 2), (1022, "x86_64"), (1044, SOURCE)])
ZLIB = header([(62, b"\0" * 16), (1000, "zlib"), (1001, "1.3"), (1002, "1")])
KEY = header([(1000, "gpg-pubkey"), (1001, "8483c65d"), (1002, "5ccc5b19")])


def contents(files: dict[str, str | bytes]) -> Contents:
    return read({path: text.encode() if isinstance(text, str) else text for path, text in files.items()})


def urls(files: dict[str, str | bytes]) -> list[str]:
    found = contents(files)
    return [str(purl(package, found.system)) for package in found.packages]


def test_dpkg_packages_are_read_without_removed_ones() -> None:
    assert urls({DPKG: STATUS, "etc/os-release": DEBIAN}) == [
        "pkg:deb/debian/bash@5.2.15-2%2Bb7?arch=amd64&distro=debian-12",
        "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12&upstream=glibc",
        "pkg:deb/debian/login@1:4.13%2Bdfsg1-1?arch=amd64&distro=debian-12&upstream=shadow%401:4.13",
    ]


def test_distroless_images_with_a_file_per_package_are_read() -> None:
    files: dict[str, str | bytes] = {
        f"{PART}tzdata": "Package: tzdata\nVersion: 2024a-0\nArchitecture: all\n",
        f"{PART}tzdata.md5sums": "d41d8cd98f00b204e9800998ecf8427e  usr/share/zoneinfo/UTC\n",
        "usr/lib/os-release": "ID=debian\n",
    }
    assert urls(files) == ["pkg:deb/debian/tzdata@2024a-0?arch=all&distro=debian"]
    assert contents(files).databases == (f"{PART}tzdata",)


def test_apk_databases_at_both_paths_are_read_without_duplicates() -> None:
    system = "ID=wolfi\nVERSION_ID=20230201\n"
    files: dict[str, str | bytes] = {ALPINE: APK, f"usr/{ALPINE}": APK, "etc/os-release": system}
    assert urls(files) == [
        "pkg:apk/wolfi/libcrypto3@3.3.1-r0?arch=x86_64&distro=wolfi-20230201&upstream=openssl",
        "pkg:apk/wolfi/musl@1.2.5-r0?arch=x86_64&distro=wolfi-20230201",
    ]


def test_os_release_values_that_a_shell_cannot_parse_are_ignored() -> None:
    text = "# ID=no\nID=\"a'b\nNAME\nVERSION_ID='3'\nID=alpine"
    assert contents({"etc/os-release": text}).system == System(id="alpine", version="3")
    assert contents({"etc/os-release": "ID='alpine"}).system == System()


def test_without_os_release_the_namespace_follows_from_the_package_manager() -> None:
    assert urls({DPKG: STATUS, ALPINE: APK})[::4] == [
        "pkg:apk/alpine/libcrypto3@3.3.1-r0?arch=x86_64&upstream=openssl",
        "pkg:deb/debian/login@1:4.13%2Bdfsg1-1?arch=amd64&upstream=shadow%401:4.13",
    ]
    assert str(contents({DPKG: STATUS}).system) == "an unknown system"


def write(database: sqlite3.Connection, blobs: Sequence[bytes]) -> None:
    with database:
        database.execute("CREATE TABLE IF NOT EXISTS Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
        database.executemany("INSERT INTO Packages (blob) VALUES (?)", [(blob,) for blob in blobs])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An rpm database as rpm leaves it: in write-ahead-log mode, with an empty log."""
    path = tmp_path / "rpmdb.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        write(database, [BASH, KEY])
    return path


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """An open connection: commits stay in the log until it is closed."""
    with closing(sqlite3.connect(path)) as database:
        yield database


def test_rpm_packages_are_read_without_trusted_keys(path: Path) -> None:
    files: dict[str, str | bytes] = {RPM: path.read_bytes(), "etc/os-release": 'ID="rocky"\nVERSION_ID="9.4"'}
    assert urls(files) == [
        f"pkg:rpm/rocky/bash@5.2-9.el9?arch=x86_64&distro=rocky-9.4&epoch=2&upstream={SOURCE}"
    ]


def test_what_is_in_the_log_of_an_rpm_database_counts(path: Path, connection: sqlite3.Connection) -> None:
    before = path.read_bytes()
    write(connection, [ZLIB] * 100)
    log = path.with_name(f"{path.name}-wal").read_bytes()
    assert path.read_bytes() == before
    packages = contents({RPM: before, f"{RPM}-wal": log}).packages
    assert [one.name for one in packages] == ["bash", "zlib"]
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    assert path.read_bytes() != before
    assert contents({RPM: path.read_bytes(), f"{RPM}-wal": log}).packages == packages


def test_what_was_not_committed_to_an_rpm_database_does_not_count(
    path: Path, connection: sqlite3.Connection
) -> None:
    write(connection, [ZLIB])
    log = path.with_name(f"{path.name}-wal").read_bytes()
    page = int.from_bytes(log[8:12], "big")
    uncommitted = log[: -24 - page]  # a commit is the last frame of its transaction
    assert [one.name for one in contents({RPM: path.read_bytes(), f"{RPM}-wal": uncommitted}).packages] == [
        "bash"
    ]


def test_a_log_of_an_rpm_database_with_a_wrong_checksum_does_not_count(
    path: Path, connection: sqlite3.Connection
) -> None:
    write(connection, [ZLIB])
    log = path.with_name(f"{path.name}-wal").read_bytes()
    damaged = log[:-1] + bytes([log[-1] ^ 1])
    assert [one.name for one in contents({RPM: path.read_bytes(), f"{RPM}-wal": damaged}).packages] == [
        "bash"
    ]


def test_older_commits_in_the_log_of_an_rpm_database_do_not_count(
    path: Path, connection: sqlite3.Connection
) -> None:
    write(connection, [ZLIB])
    log = path.with_name(f"{path.name}-wal").read_bytes()
    older = log[:16] + bytes(8) + log[24:]
    assert [one.name for one in contents({RPM: path.read_bytes(), f"{RPM}-wal": older}).packages] == ["bash"]


@pytest.mark.parametrize(
    ("files", "lacking"),
    [
        ({}, "it has no package database"),
        ({DPKG: ""}, "its package database is empty"),
        (
            {"var/lib/rpm/Packages": "", "usr/lib/sysimage/rpm/Packages.db": ""},
            "/usr/lib/sysimage/rpm/Packages.db (ndb) is not read; /var/lib/rpm/Packages (Berkeley DB) is not"
            " read; it has no other package database",
        ),
        (
            {DPKG: STATUS, "var/lib/rpm/Packages": "", "etc/os-release": DEBIAN},
            "/var/lib/rpm/Packages (Berkeley DB) is not read",
        ),
        (
            {DPKG: STATUS, "etc/os-release": "NAME='Debian\n"},
            "it has no os-release, so the distribution of its packages is guessed",
        ),
        ({DPKG: STATUS, "etc/os-release": DEBIAN}, ""),
    ],
)
def test_reasons_for_an_incomplete_sbom(files: dict[str, str | bytes], lacking: str) -> None:
    assert contents(files).lacking == lacking


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({DPKG: "\x00\x01"}, r"/var/lib/dpkg/status: line 1 is '\x00\x01', expected `FIELD: VALUE`"),
        (
            {DPKG: "Package: a\nStatus: install ok installed\n\n"},
            "/var/lib/dpkg/status: the package with 'Package: a; Status: install ok installed' has no Version",
        ),
        ({ALPINE: "P:\nV:1\n"}, "/lib/apk/db/installed: the package with 'P: ; V: 1' has no P"),
        ({RPM: b"none" * 9}, f"/{RPM}: is not a database of rpm: file is not a database"),
        ({RPM: b""}, f"/{RPM}: is not a database of rpm: no such table: Packages"),
    ],
)
def test_an_error_names_the_damaged_database(files: dict[str, str | bytes], message: str) -> None:
    with pytest.raises(CheckError) as caught:
        contents(files)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("blob", "why"),
    [
        (
            b"",
            "cannot be read: it has 0 bytes",
        ),
        (ZLIB[:-1], "cannot be read: it has 26 bytes of values, expected 27"),
        (header([(1000, "x")]), "is missing tag 1001 and 1002"),
    ],
)
def test_an_error_in_a_package_header_names_the_database(
    path: Path, connection: sqlite3.Connection, blob: bytes, why: str
) -> None:
    write(connection, [blob])
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with pytest.raises(CheckError) as caught:
        contents({RPM: path.read_bytes()})
    assert str(caught.value) == f"/{RPM}: the header of a package {why}"
