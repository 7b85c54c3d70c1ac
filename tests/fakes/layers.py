"""Layers for tests: real tar files with programs of any architecture, made in memory."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from collections.abc import Mapping

EXECUTABLE, SHARED = 2, 3
# e_machine, bits and byte order of the first bytes of a program, by the name that dfgen prints.
MACHINES = {
    "i386": (3, 32, "<"),
    "mips": (8, 32, ">"),
    "mipsel": (8, 32, "<"),
    "mips64": (8, 64, ">"),
    "mips64el": (8, 64, "<"),
    "ppc": (20, 32, ">"),
    "ppc64": (21, 64, ">"),
    "ppc64le": (21, 64, "<"),
    "s390": (22, 32, ">"),
    "s390x": (22, 64, ">"),
    "armeb": (40, 32, ">"),
    "arm": (40, 32, "<"),
    "x32": (62, 32, "<"),
    "x86_64": (62, 64, "<"),
    "aarch64_be": (183, 64, ">"),
    "aarch64": (183, 64, "<"),
    "riscv32": (243, 32, "<"),
    "riscv64": (243, 64, "<"),
    "loongarch64": (258, 64, "<"),
}


def elf(machine: str = "x86_64", kind: int = EXECUTABLE) -> bytes:
    """Return the ELF header of a program."""
    number, bits, order = MACHINES[machine]
    ident = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    return ident + struct.pack(f"{order}HHI", kind, number, 1) + bytes(40)


def pe(machine: int) -> bytes:
    """Return the headers of a PE file, as compilers write them."""
    return b"MZ" + bytes(58) + struct.pack("<I", 128) + bytes(64) + b"PE\0\0" + struct.pack("<H", machine)


def tar(
    files: Mapping[str, bytes], *, hard_links: Mapping[str, str] | None = None, compress: bool = False
) -> bytes:
    """Return a layer with files, and hard links by their target."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
        for path, target in (hard_links or {}).items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.LNKTYPE, target
            archive.addfile(entry)
    return gzip.compress(packed.getvalue(), mtime=0) if compress else packed.getvalue()
