"""Programs in layers: which files count, for which architecture they are, and what a platform runs."""

from __future__ import annotations

import gzip
import io
import platform as host
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from backports import zstd

from dfgen.errors import CheckError
from dfgen.oci.platform import Platform, aliases
from dfgen.oci.programs import foreign, machine_of, programs, runs
from tests.fakes.layers import EXECUTABLE, MACHINES, SHARED, elf, pe, tar

PLATFORMS = sorted(set(aliases().values()))
# Everything that a platform runs; each other combination is an error.
RUNS = {
    "linux/amd64": {"x86_64", "i386", "x32"},
    "linux/arm64": {"aarch64", "arm"},
    "linux/arm/v7": {"arm"},
    "linux/ppc64le": {"ppc64le"},
    "linux/s390x": {"s390x", "s390"},
    "linux/riscv64": {"riscv64"},
}
AMD64 = Platform.parse("amd64")


def found(folder: Path, *layers: bytes) -> Mapping[str, str]:
    paths = []
    for number, layer in enumerate(layers):
        paths.append(folder / str(number))
        paths[-1].write_bytes(layer)
    return programs(paths)


@pytest.mark.parametrize("platform", PLATFORMS, ids=str)
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("kind", [EXECUTABLE, SHARED])
def test_every_platform_runs_its_own_machines_and_no_others(
    platform: Platform, machine: str, kind: int
) -> None:
    assert machine_of(elf(machine, kind)) == machine
    assert runs(platform, machine) == (machine in RUNS[str(platform)])
    assert bool(foreign(platform, {"a": machine})) != runs(platform, machine)


def test_a_program_of_this_machine_runs_on_its_platform() -> None:
    assert runs(Platform.parse(host.machine()), machine_of(Path("/bin/true").read_bytes()))


@pytest.mark.parametrize(
    ("head", "machine"),
    [
        (b"", ""),
        (b"#!/bin/sh\n", ""),
        (b"\x7fELF", ""),
        (elf()[:19], ""),
        (elf()[:20], "x86_64"),
        (elf(kind=1), ""),  # relocatable: object files, kernel modules, eBPF
        (elf(kind=4), ""),  # a core file
        (elf()[:18] + struct.pack("<H", 247) + elf()[20:], ""),  # eBPF
        (elf()[:18] + struct.pack("<H", 190) + elf()[20:], ""),  # CUDA
        (elf()[:18] + struct.pack("<H", 224) + elf()[20:], ""),  # AMD's graphics cards
        (elf()[:4] + b"\x03" + elf()[5:], ""),
        (elf()[:5] + b"\x03" + elf()[6:], ""),
        (elf()[:5] + b"\x02" + elf()[6:], ""),  # x86 in the other byte order
        (b"MZ", ""),
        (b"MZ" + bytes(62), ""),
        (b"MZ" + bytes(58) + b"\xff" * 4, ""),
        (pe(0x8664), ""),  # a Windows program
        (pe(0x014C), ""),  # portable .NET code
        (pe(0x8664 ^ 0x7B79), "x86_64"),  # .NET code that is compiled for Linux
        (pe(0xAA64 ^ 0x7B79), "aarch64"),
        (pe(0x01C4 ^ 0x7B79), "arm"),
        (pe(0x014C ^ 0x7B79), "i386"),
        (pe(0xAA64 ^ 0x7B79)[:133], ""),
    ],
)
def test_what_counts_as_a_program(head: bytes, machine: str) -> None:
    assert machine_of(head) == machine


@pytest.mark.parametrize("compress", [False, True])
def test_programs_are_found_by_path(tmp_path: Path, compress: bool) -> None:
    files = {"./usr/bin/a": elf(), "b.so": elf("aarch64", SHARED), "c": b"text", "/d": elf("s390x")}
    layer = tar(files, hard_links={"usr/bin/e": "./usr/bin/a", "f": "c"}, compress=compress)
    assert found(tmp_path, layer) == {
        "usr/bin/a": "x86_64",
        "b.so": "aarch64",
        "d": "s390x",
        "usr/bin/e": "x86_64",
    }


def test_the_last_entry_of_a_path_counts(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, content in (("a", elf()), ("b", b"text"), ("a", b"text"), ("b", elf("arm"))):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    assert found(tmp_path, packed.getvalue()) == {"b": "arm"}


@pytest.mark.parametrize(
    "upper",
    [
        {"opt/.wh.a": b""},
        {".wh.opt": b""},
        {"opt/.wh..wh..opq": b""},
        {".wh..wh..opq": b""},
    ],
)
def test_a_program_that_a_higher_layer_deletes_does_not_count(
    tmp_path: Path, upper: dict[str, bytes]
) -> None:
    assert found(tmp_path, tar({"opt/a": elf()}), tar(upper)) == {}


def test_a_higher_layer_replaces_programs_and_keeps_others(tmp_path: Path) -> None:
    lower = tar({"opt/a": elf(), "opt/b": elf(), "optional": elf()})
    upper = tar({"opt/a": elf("aarch64"), "opt/.wh.option": b"", "opt/.wh.c": b""})
    assert found(tmp_path, lower, upper) == {"opt/a": "aarch64", "opt/b": "x86_64", "optional": "x86_64"}


def test_layers_of_several_gzip_members_are_read_to_the_end(tmp_path: Path) -> None:
    layer = tar({"a": b"text", "b": elf()})
    assert found(tmp_path, gzip.compress(layer[:1024]) + gzip.compress(layer[1024:])) == {"b": "x86_64"}


@pytest.mark.parametrize(
    "path",
    [
        "lib/firmware/a.bin",
        "usr/lib/firmware/qcom/b",
        "usr/share/qemu/openbios-ppc",
        "usr/lib/debug/.build-id/a",
        "opt/app.debug",
        "usr/local/go/src/debug/elf/testdata/gcc-386-freebsd-exec",
    ],
)
def test_files_that_are_not_run_in_the_image_do_not_count(path: str) -> None:
    assert foreign(AMD64, {path: "aarch64"}) == {}


@pytest.mark.parametrize(
    ("own", "other", "is_foreign"),
    [
        ("prebuilds/linux-x64/a.node", "prebuilds/linux-arm64/a.node", False),
        ("prebuilds/linux-x64/a.node", "prebuilds/linux-arm64/a.armv8.node", False),
        ("runtimes/linux-x64/native/a.so", "runtimes/linux-arm/native/a.so", False),
        ("usr/bin/tool-amd64", "usr/bin/tool-arm64", False),
        ("usr/bin/tool_x86_64", "usr/bin/tool_aarch64", False),
        ("usr/lib/x86_64-linux-gnu/a.so", "usr/lib/aarch64-linux-gnu/b.so", False),
        ("usr/bin/tool-amd64", "usr/bin/other-arm64", True),
        ("usr/bin/tool", "usr/bin/tool-arm64", True),
        ("opt/a/tool-amd64", "opt/b/tool-arm64", True),
        ("opt/amd64/tool", "opt/tool-arm64", True),
        ("usr/bin/alarm64", "usr/bin/alarm32", True),
    ],
)
def test_a_package_may_bring_other_architectures_beside_its_own(
    own: str, other: str, is_foreign: bool
) -> None:
    expected = {other: "aarch64"} if is_foreign else {}
    assert foreign(AMD64, {own: "x86_64", other: "aarch64"}) == expected
    assert foreign(AMD64, {other: "aarch64"}) == {other: "aarch64"}


LAYER = tar({"a": b"text", "b": elf()})


def refused(folder: Path, layer: bytes) -> str:
    path = folder / "layer"
    path.write_bytes(layer)
    with pytest.raises(CheckError) as caught:
        programs([path])
    text = str(caught.value)
    start = f"{path}: the layer cannot be read: "
    end = "; expected a tar file, uncompressed or compressed with gzip or zstd"
    assert text.startswith(start)
    assert text.endswith(end)
    return text.removeprefix(start).removesuffix(end)


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(LAYER),
        gzip.compress(LAYER[:700]) + gzip.compress(LAYER[700:]),
        zstd.compress(LAYER),
        zstd.compress(LAYER[:700]) + zstd.compress(LAYER[700:]),
    ],
)
def test_compressed_layers_are_read_to_their_end(tmp_path: Path, packed: bytes) -> None:
    path = tmp_path / "layer"
    path.write_bytes(packed)
    assert programs([path]) == {"b": "x86_64"}


def extended(size: int) -> bytes:
    entry = tarfile.TarInfo("header")
    entry.type, entry.size = tarfile.XHDTYPE, size
    return entry.tobuf(tarfile.USTAR_FORMAT)


def test_layers_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    layer = LAYER
    damaged = layer[:1024] + b"x" + layer[1025:]  # the second header, which tarfile alone takes for the end
    assert refused(tmp_path, zstd.compress(layer)[:-20]).startswith("Compressed file ended before")
    assert refused(tmp_path, b"\x28\xb5\x2f\xfd" + b"\xff" * 20).startswith("Unable to decompress")
    assert refused(tmp_path, b"text" * 256) == "invalid header"
    assert refused(tmp_path, damaged) == "bad checksum"
    assert refused(tmp_path, layer[:1100]) == "truncated header"
    assert refused(tmp_path, tar({"a": bytes(5000)})[:2000]) == "unexpected end of data"
    assert refused(tmp_path, gzip.compress(layer)[:-20]).startswith("Compressed file ended before")
    assert refused(tmp_path, extended(2**20 + 1)) == "an extended header is too long"
    nested = 2000 * (extended(6) + b"6 a=b\n".ljust(512, b"\0"))
    assert refused(tmp_path, nested).startswith("maximum recursion depth exceeded")


def test_a_missing_layer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckError) as caught:
        programs([tmp_path / "none"])
    assert "No such file or directory" in str(caught.value)
