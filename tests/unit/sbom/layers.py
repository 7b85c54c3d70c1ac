"""Builders for layers and package databases."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

STATUS = """\

Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b7
Description: GNU Bourne Again SHell
 Bash: is an sh-compatible command language interpreter

Package: libc6
Status: install ok unpacked
Source: glibc
Architecture: amd64
Version: 2.36-9

Package: login
Status: install ok installed
Source: shadow (1:4.13)
Architecture: amd64
Version: 1:4.13+dfsg1-1

Package: purged
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
APK = "P:musl\nV:1.2.5-r0\nA:x86_64\no:musl\n\nP:libcrypto3\nV:3.3.1-r0\nA:x86_64\no:openssl\nF:lib\n"
DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n'


def layer(
    folder: Path, *entries: tuple[str, str | bytes | None], links: Mapping[str, str] | None = None
) -> Path:
    """Write a layer with files, folders (content None) and symbolic links; returns its path."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            data = content.encode() if isinstance(content, str) else content or b""
            entry.size = len(data)
            entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            tar.addfile(entry, io.BytesIO(data))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    path = folder / f"{len(list(folder.iterdir()))}.tar.gz"
    path.write_bytes(packed.getvalue())
    return path


def _encoded(value: str | int | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    return struct.pack(">I", value) if isinstance(value, int) else f"{value}\0".encode()


def header(tags: Sequence[tuple[int, str | int | bytes]]) -> bytes:
    """Return the header of a package as in an rpm database."""
    index, values = b"", b""
    for tag, value in tags:
        if isinstance(value, int):
            values += bytes(-len(values) % 4)
        kind = {int: 4, str: 6, bytes: 7}[type(value)]
        index += struct.pack(">4I", tag, kind, len(values), 1)
        values += _encoded(value)
    return struct.pack(">2I", len(tags), len(values)) + index + values
