"""Emulation: run programs of other architectures, in containers too, with the demo's own qemu.

qemu of Debian testing runs current arm64 programs several times faster than that of Debian 12, which
computes pointer authentication step by step. The handlers are registered beside any that the machine
already has. Their names contain a hash of the demo's folder, and `down` removes them.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
from pathlib import Path

from home import DemoError, Home

BINFMT = Path("/proc/sys/fs/binfmt_misc")
PACKAGES = ("qemu-user", "qemu-user-binfmt")
# The architectures that dfgen supports, by their qemu names.
ARCHITECTURES = ("aarch64", "arm", "ppc64le", "riscv64", "s390x", "x86_64")
CONFIGURATION = "usr/share/qemu/binfmt.d/qemu-{}.conf"
WANTED = tuple(path.format(arch) for arch in ARCHITECTURES for path in ("usr/bin/qemu-{}", CONFIGURATION))


def foreign_architectures() -> tuple[str, ...]:
    """Return the architectures that this machine has to emulate."""
    own = {"aarch64": ("aarch64", "arm")}.get(platform.machine(), (platform.machine(),))
    return tuple(arch for arch in ARCHITECTURES if arch not in own)


def entry_name(home: Home, arch: str) -> str:
    """Return the name of this folder's handler in binfmt_misc."""
    return f"dfgen-{arch}-{hashlib.sha256(str(home.root).encode()).hexdigest()[:8]}"


def registration(line: str, name: str, interpreter: Path) -> str:
    """Return a line of binfmt.d with another name and interpreter.

    Its fields: `:name:type:offset:magic:mask:interpreter:flags`. With the flag F the kernel opens the
    interpreter at registration, so that it also works in containers, which do not have the file.
    https://docs.kernel.org/admin-guide/binfmt-misc.html
    """
    fields = line.strip().split(":")
    fields[1], fields[6] = name, str(interpreter)
    return ":".join(fields)


def is_on(home: Home) -> bool:
    """Return whether all of this folder's handlers are registered."""
    return all((BINFMT / entry_name(home, arch)).exists() for arch in foreign_architectures())


def mount() -> bool:
    """Mount binfmt_misc if it is not mounted; return whether this call mounted it."""
    if (BINFMT / "register").exists():
        return False
    command = ["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(
            f"{BINFMT}: cannot mount binfmt_misc: {done.stderr.strip()};"
            " use a kernel that has it and, in a container, --privileged"
        )
    return True


def turn_on(home: Home) -> None:
    """Register this folder's handlers; binfmt_misc must be mounted."""
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
                f"{BINFMT}/register: cannot register {name}: {error.strerror}; run as root"
            ) from error


def turn_off(home: Home) -> list[str]:
    """Remove this folder's handlers; return their names."""
    names = [entry_name(home, arch) for arch in ARCHITECTURES]
    found = [name for name in names if (BINFMT / name).exists()]
    for name in found:
        (BINFMT / name).write_text("-1")
    return found
