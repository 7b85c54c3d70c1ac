"""Find the programs in a layer and the architecture each is compiled for, by the first bytes of its files.

ELF: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
PE: https://learn.microsoft.com/windows/win32/debug/pe-format
"""

from __future__ import annotations

import re
import struct
import tarfile
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dfgen.errors import CheckError
from dfgen.oci.layers import OPAQUE, WHITEOUT, Layer, open_layer
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

_MOST_PROGRAMS = 500_000  # in one layer


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


@lru_cache(maxsize=8)  # the images of a run share layers, and blobs never change
def _scan(layer: Path) -> _Scan:
    found: dict[str, str] = {}
    deletes: set[str] = set()
    with open_layer(layer) as entries:
        for entry in entries:
            path = _cleaned(entry.name)
            folder, _, name = path.rpartition("/")
            if name == OPAQUE:
                deletes.add(f"{folder}/")
            elif name.startswith(WHITEOUT):
                deletes.add(f"{folder}/{name.removeprefix(WHITEOUT)}".lstrip("/"))
            elif machine := _machine(entries, entry, found):
                found[path] = machine
            else:
                found.pop(path, None)  # a path may appear twice in a layer; the last entry wins
            if len(found) + len(deletes) > _MOST_PROGRAMS:
                raise CheckError(f"{layer}: the layer has more than {_MOST_PROGRAMS} programs")
    return _Scan(found, deletes)


def _cleaned(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _machine(layer: Layer, entry: tarfile.TarInfo, found: Mapping[str, str]) -> str:
    if entry.islnk():  # a second name of an earlier entry of this layer
        return found.get(_cleaned(entry.linkname), "")
    content = layer.content(entry)
    return machine_of(content.read(_HEAD)) if content else ""
