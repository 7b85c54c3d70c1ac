"""Find the programs in a layer and the architecture each is compiled for, by the first bytes of its files.

ELF: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
PE: https://learn.microsoft.com/windows/win32/debug/pe-format
"""

from __future__ import annotations

import gzip
import re
import struct
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Self, cast

from dfgen.errors import CheckError
from dfgen.oci.platform import Platform, aliases

_HEAD = 512  # bytes read of each file; the PE header of .NET assemblies starts at byte 128
_ELF = b"\x7fELF"
_PE = b"MZ"
_EXECUTABLE, _SHARED = 2, 3  # e_type; a relocatable or core file is not run or loaded as it is
_NAMES = {
    # (e_machine, bits, byte order) as `uname -m` names it. Others are graphics cards, microcontrollers, eBPF
    # and the like, whose code no image is built for.
    (3, 32, "<"): "i386",
    (8, 32, ">"): "mips",
    (8, 32, "<"): "mipsel",
    (8, 64, ">"): "mips64",
    (8, 64, "<"): "mips64el",
    (20, 32, ">"): "ppc",
    (21, 64, ">"): "ppc64",
    (21, 64, "<"): "ppc64le",
    (22, 32, ">"): "s390",
    (22, 64, ">"): "s390x",
    (40, 32, ">"): "armeb",
    (40, 32, "<"): "arm",
    (62, 32, "<"): "x32",
    (62, 64, "<"): "x86_64",
    (183, 64, ">"): "aarch64_be",
    (183, 64, "<"): "aarch64",
    (243, 32, "<"): "riscv32",
    (243, 64, "<"): "riscv64",
    (258, 64, "<"): "loongarch64",
}
# .NET marks compiled code for Linux by an XOR of the machine. A PE file without the mark is portable code or
# a Windows program, such as the launchers in every Python environment: no Linux image runs it by itself.
_LINUX_MARK = 0x7B79
_PE_NAMES = {0x014C: "i386", 0x01C4: "arm", 0x5064: "riscv64", 0x6264: "loongarch64", 0x8664: "x86_64"}
_PE_NAMES[0xAA64] = "aarch64"
# Machines whose code a platform runs: its own first, then those that most of its processors also run, if
# their libraries are installed.
_RUNS = {
    "amd64": ("x86_64", "i386", "x32"),
    "arm64": ("aarch64", "arm"),
    "arm": ("arm",),
    "ppc64le": ("ppc64le",),
    "s390x": ("s390x", "s390"),
    "riscv64": ("riscv64",),
}
# Firmware of devices and of emulated machines, and debug information.
_NOT_RUN = ("lib/firmware/", "usr/lib/firmware/", "usr/share/qemu/", "usr/lib/debug/")

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
# Limits for hostile layers. Go, and so containerd, refuses a longer extended header, too.
_LONGEST_HEADER = 2**20
_LARGEST = 2**36  # bytes of an uncompressed layer
_MOST = 5_000_000  # entries
_MOST_PROGRAMS = 500_000


def machine_of(head: bytes) -> str:
    """Return the architecture of a program or shared library from its first bytes, for example `x86_64`.

    Returns "" for anything else, such as a script, an object file, or code for a graphics card.
    """
    if head.startswith(_PE):
        return _machine_of_pe(head)
    if not head.startswith(_ELF) or len(head) < 20:
        return ""
    bits, order = {1: 32, 2: 64}.get(head[4], 0), {1: "<", 2: ">"}.get(head[5], "")
    if not order:
        return ""
    kind, machine = struct.unpack_from(f"{order}HH", head, 16)
    return _NAMES.get((machine, bits, order), "") if kind in (_EXECUTABLE, _SHARED) else ""


def _machine_of_pe(head: bytes) -> str:
    if len(head) < 64:
        return ""
    (start,) = struct.unpack_from("<I", head, 60)
    if head[start : start + 4] != b"PE\0\0" or len(head) < start + 6:
        return ""
    (machine,) = struct.unpack_from("<H", head, start + 4)
    return _PE_NAMES.get(machine ^ _LINUX_MARK, "")


def runs(platform: Platform, machine: str) -> bool:
    """Whether the processors of a platform run a program; amd64 runs i386, arm64 mostly runs arm."""
    return machine in _RUNS[platform.architecture]


@dataclass(frozen=True, slots=True)
class _Scan:
    """The programs of one layer with their architectures, and the paths of lower layers that it deletes.

    A deleted path also deletes everything below it; with a trailing `/`, only what is below it.
    """

    programs: Mapping[str, str]
    deletes: Set[str]


def programs(layers: Sequence[Path]) -> Mapping[str, str]:
    """Return the architecture of each program in layers, lowest first, by path without the leading `/`.

    Raises CheckError if a layer cannot be read.
    """
    found: dict[str, str] = {}
    for layer in layers:
        scan = _scan(layer)
        if scan.deletes:
            found = {path: name for path, name in found.items() if not _is_deleted(path, scan.deletes)}
        found.update(scan.programs)
    return found


def _is_deleted(path: str, deletes: Set[str]) -> bool:
    return path in deletes or any(above in deletes or f"{above}/" in deletes for above in _folders(path))


def _folders(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path


def foreign(platform: Platform, found: Mapping[str, str]) -> Mapping[str, str]:
    """Return the programs that a platform does not run.

    Leaves out firmware, debug information, test data, and the other architectures of a package that also has
    the platform's own: `prebuilds/linux-x64/a.node` beside `prebuilds/linux-arm64/a.node`.
    """
    own = {form for path, machine in found.items() if runs(platform, machine) for form in _forms(path)}
    return {
        path: machine
        for path, machine in found.items()
        if not runs(platform, machine) and _is_run(path) and own.isdisjoint(_forms(path))
    }


def _is_run(path: str) -> bool:
    # Go and others keep samples of every executable format in folders of this name.
    is_sample = "testdata" in path.split("/")
    return not (is_sample or path.startswith(_NOT_RUN) or path.endswith(".debug"))


_SPELLINGS = {word for word in aliases() if "/" not in word} | {
    *("i386", "i486", "i586", "i686", "x86", "386", "ia32", "armv8", "armv8l", "arm", "armel", "armv6"),
    *("armv6l", "armv7l", "arm32v6", "ppc64el", "powerpc64le", "ppc64", "mips", "mipsel", "mips64"),
    *("mips64el", "mips64le", "mipsle", "loong64", "loongarch64", "riscv32", "s390"),
}
_SPELLED = re.compile(
    f"(?<![a-z0-9])(?:{'|'.join(sorted(map(re.escape, _SPELLINGS), key=len, reverse=True))})(?![a-z0-9])"
)


def _forms(path: str) -> Iterator[str]:
    """Yield what the paths of one program for several architectures have in common."""
    form = _SPELLED.sub("*", path.lower())
    folder, _, _ = form.rpartition("/")
    if "*" in form:
        yield form
    if "*" in folder:
        yield f"{folder}/"


class _Entry(tarfile.TarInfo):
    """A header that is refused if it is damaged, which `tarfile` takes for the end, or hostile."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            found = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if not buf.strip(b"\0"):  # the end of the archive
                raise
            raise tarfile.ReadError(str(error)) from error
        # Types whose content tarfile reads into memory: extended headers, and long names of GNU tar.
        if found.type in b"xgXLK" and found.size > _LONGEST_HEADER:
            raise tarfile.ReadError("an extended header is too long")
        return found


@lru_cache(maxsize=8)  # the images of a run share layers, and blobs never change
def _scan(layer: Path) -> _Scan:
    found: dict[str, str] = {}
    deletes: set[str] = set()
    try:
        # "|" reads the layer as a stream: seeking in a compressed file would decompress it again and again.
        with (
            _opened(layer) as file,
            tarfile.open(fileobj=file, mode="r|", tarinfo=_Entry) as tar,
        ):
            for entry in _entries(tar):
                path = _cleaned(entry.name)
                folder, _, name = path.rpartition("/")
                if name == _OPAQUE:
                    deletes.add(f"{folder}/")
                elif name.startswith(_WHITEOUT):
                    deletes.add(f"{folder}/{name.removeprefix(_WHITEOUT)}".lstrip("/"))
                elif machine := _machine(tar, entry, found):
                    found[path] = machine
                else:
                    found.pop(path, None)  # a path may appear twice in a layer; the last entry wins
                if len(found) + len(deletes) > _MOST_PROGRAMS:
                    raise tarfile.ReadError(f"it has more than {_MOST_PROGRAMS} programs")
    # tarfile raises the last two for hostile extended headers.
    except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError, RecursionError) as error:
        expected = "expected a tar file, uncompressed or compressed with gzip"
        raise CheckError(f"{layer}: the layer cannot be read: {error}; {expected}") from error
    return _Scan(found, deletes)


def _opened(layer: Path) -> BinaryIO:
    """Open a layer uncompressed. Not with tarfile, which ends after the first of several gzip members."""
    with layer.open("rb") as file:
        magic = file.read(len(_ZSTD))
    if magic == _ZSTD:
        raise tarfile.ReadError("it is compressed with zstd")
    return cast(BinaryIO, gzip.open(layer)) if magic.startswith(_GZIP) else layer.open("rb")


def _entries(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    count = 0
    while entry := tar.next():
        count += 1
        if count > _MOST or entry.offset_data + entry.size > _LARGEST:
            raise tarfile.ReadError(f"it has more than {_MOST} entries or {_LARGEST} bytes")
        yield entry
        # tarfile keeps every entry for random access, which needs much memory for a layer with many files.
        tar.members.clear()  # type: ignore[attr-defined]  # only typeshed lacks it


def _cleaned(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _machine(tar: tarfile.TarFile, entry: tarfile.TarInfo, found: Mapping[str, str]) -> str:
    if entry.islnk():  # a second name of an earlier entry of this layer
        return found.get(_cleaned(entry.linkname), "")
    content = tar.extractfile(entry) if entry.isreg() else None
    return machine_of(content.read(_HEAD)) if content else ""
