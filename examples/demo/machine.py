"""Inspect the machine: its distribution, its apt, and a Docker engine that it already has."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import subprocess

from home import DemoError, Home
from packages import Apt, choose_mirror, machine_sources

ADVICE = (
    "run on Debian as root, where the demo starts its own engine, or install Docker with buildx and the"
    " containerd image store, qemu user emulation (qemu-user-static, binfmt-support) and docker-registry"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A Docker engine that the machine had before the demo."""

    version: str
    platforms: str
    """The platforms that it builds for, as buildx lists them: `linux/amd64, linux/arm64, …`."""

    def runs(self, arch: str) -> bool:
        """Return whether it builds for linux/ARCH."""
        return f"linux/{arch}" in self.platforms.replace("*", "").replace(" ", "").split(",")


def release_fields() -> dict[str, str]:
    """Return the fields of os-release; empty if the file does not exist."""
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def has_apt() -> bool:
    """Return whether this machine has Debian's package tools."""
    return bool(shutil.which("apt-get") and shutil.which("dpkg-deb"))


def is_debian_as_root() -> bool:
    """Return whether the demo can start its own engine here."""
    return platform.system() == "Linux" and has_apt() and os.geteuid() == 0


def own_arch() -> str:
    """Return the machine's architecture by its Debian name."""
    done = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def make_apt(home: Home, suite: str, arch: str) -> Apt:
    """Return the demo's apt for one suite and architecture, on the mirror of the machine's release."""
    fields = release_fields()
    if not has_apt():
        raise DemoError(
            f"{fields.get('PRETTY_NAME', platform.system())}: apt-get or dpkg-deb not found; {ADVICE}"
        )
    mirror = choose_mirror(machine_sources(), fields.get("VERSION_CODENAME", ""))
    return Apt(folder=home.root / "apt", suite=suite, arch=arch, mirror=mirror)


def output_of(*command: str) -> str:
    """Return the output of a command; empty if it fails or does not exist."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def find_engine() -> Engine | None:
    """Return this machine's engine if it has buildx and the containerd image store, else None.

    An engine on another machine is ignored: it cannot reach the registry on this machine's loopback.
    """
    host = output_of("docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    info = output_of("docker", "info", "--format", "{{json .}}") if host.startswith("unix://") else ""
    builder = output_of("docker", "buildx", "inspect") if info else ""
    data = json.loads(info) if info else {}
    if ["driver-type", "io.containerd.snapshotter.v1"] not in (data.get("DriverStatus") or []) or not builder:
        return None
    listed = [line.partition(":")[2] for line in builder.splitlines() if line.startswith("Platforms:")]
    return Engine(version=data.get("ServerVersion", ""), platforms=",".join(listed))
