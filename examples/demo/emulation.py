"""Emulation: the kernel runs other architectures' programs, in containers too, by the demo's own qemu.

Debian testing's qemu runs current arm64 programs several times faster than Debian 12's, which computes
pointer authentication step by step. Its handlers are registered beside those that the machine may have
already, under names of this folder's own, and `down` takes them away again.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
from pathlib import Path

from home import DemoError, Home

BINFMT = Path("/proc/sys/fs/binfmt_misc")
PACKAGES = ("qemu-user", "qemu-user-binfmt")
# The architectures that dfgen knows, as qemu names them.
ARCHITECTURES = ("aarch64", "arm", "ppc64le", "riscv64", "s390x", "x86_64")
CONFIGURATION = "usr/share/qemu/binfmt.d/qemu-{}.conf"
WANTED = tuple(path.format(arch) for arch in ARCHITECTURES for path in ("usr/bin/qemu-{}", CONFIGURATION))


def foreign_architectures() -> tuple[str, ...]:
    """The architectures that this machine has to emulate."""
    own = {"aarch64": ("aarch64", "arm")}.get(platform.machine(), (platform.machine(),))
    return tuple(arch for arch in ARCHITECTURES if arch not in own)


def entry_name(home: Home, arch: str) -> str:
    """The name of this folder's handler in binfmt_misc."""
    return f"dfgen-{arch}-{hashlib.sha256(str(home.root).encode()).hexdigest()[:8]}"


def registration(line: str, name: str, interpreter: Path) -> str:
    """A line of binfmt.d with another name and interpreter.

    Its fields: `:name:type:offset:magic:mask:interpreter:flags`. The flag F keeps the interpreter open, so
    that it works in containers, which do not have the file.
    """
    fields = line.strip().split(":")
    fields[1], fields[6] = name, str(interpreter)
    return ":".join(fields)


def is_on(home: Home) -> bool:
    """Whether this folder's handlers are all registered."""
    return all((BINFMT / entry_name(home, arch)).exists() for arch in foreign_architectures())


def mount() -> bool:
    """Mounts binfmt_misc where it is not mounted; whether that was so."""
    if (BINFMT / "register").exists():
        return False
    command = ["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(
            f"{BINFMT}: {done.stderr.strip()}, expected to mount binfmt_misc there;"
            " emulation needs a kernel that has it and, in a container, --privileged"
        )
    return True


def turn_on(home: Home) -> None:
    """Registers this folder's handlers; binfmt_misc must be mounted."""
    for arch in foreign_architectures():
        name = entry_name(home, arch)
        if (BINFMT / name).exists():
            continue
        line = (home.unpacked / CONFIGURATION.format(arch)).read_text()
        entry = registration(line, name, home.unpacked / "usr/bin" / f"qemu-{arch}")
        try:
            (BINFMT / "register").write_text(entry)
        except OSError as error:
            raise DemoError(
                f"{BINFMT}/register: {error.strerror}, expected to register {name}; run as root"
            ) from error


def turn_off(home: Home) -> list[str]:
    """Takes this folder's handlers away; returns their names."""
    names = [entry_name(home, arch) for arch in ARCHITECTURES]
    found = [name for name in names if (BINFMT / name).exists()]
    for name in found:
        (BINFMT / name).write_text("-1")
    return found
