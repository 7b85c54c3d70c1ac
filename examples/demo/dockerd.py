"""The demo's own Docker engine: unpack its programs, configure it, start it, and clean up after it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import emulation
from home import DemoError, Home, write_file
from packages import Apt, unpack
from processes import Process, children_of, is_running, running_below, start, stop, wait_until

# The engine does not need crane: tests and users check with it what was published.
PACKAGES = (
    "docker.io",
    "docker-cli",
    "docker-buildx",
    "containerd",
    "tini-static",
    "docker-registry",
    "crane",
)
PROGRAMS = {
    "crane": "usr/bin/crane",
    "docker": "usr/bin/docker",
    "dockerd": "usr/sbin/dockerd",
    "docker-proxy": "usr/sbin/docker-proxy",
    "docker-init": "usr/bin/tini-static",
    "containerd": "usr/bin/containerd",
    "containerd-shim-runc-v2": "usr/bin/containerd-shim-runc-v2",
    "docker-registry": "usr/bin/docker-registry",
}
BUILDX = "usr/libexec/docker/cli-plugins/docker-buildx"
CONFIG = {"features": {"containerd-snapshotter": True}, "insecure-registries": ["127.0.0.0/8"]}
ADMIN_PATH = "/usr/local/sbin:/usr/sbin:/sbin"


def system_path() -> str:
    """Return PATH plus the administrator's folders, which are often missing from a user's PATH."""
    return f"{os.environ.get('PATH', os.defpath)}:{ADMIN_PATH}"


def missing_system_packages() -> list[str]:
    """Return the missing packages that the engine needs from the machine's own release."""
    return [name for name in ("runc", "iptables") if not shutil.which(name, path=system_path())]


def wanted_files() -> set[str]:
    """Return the files to unpack from the packages."""
    return {*PROGRAMS.values(), BUILDX, *emulation.WANTED}


def has_programs(home: Home) -> bool:
    """Return whether all needed files are unpacked."""
    return all((home.unpacked / path).exists() for path in wanted_files())


def unpack_programs(home: Home, apt: Apt) -> None:
    """Download the packages of engine, registry and emulation, and unpack the needed files."""
    names, wanted = (*PACKAGES, *emulation.PACKAGES), wanted_files()
    with tempfile.TemporaryDirectory(dir=home.root) as folder:
        missing = wanted - unpack(apt.download(names), Path(folder), wanted)
        if missing:
            raise DemoError(
                f"Debian {apt.suite}: {min(missing)} is missing from the packages {' '.join(names)};"
                " update the packages and paths in examples/demo/dockerd.py and emulation.py"
            )
        for path in wanted:
            # Renamed over the old file: the kernel refuses to write to a running program (ETXTBSY).
            (home.unpacked / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / path).replace(home.unpacked / path)


def link_programs(home: Home) -> None:
    """Link the unpacked programs into `bin`, and buildx into the demo's Docker configuration."""
    links = {home.bin / name: home.unpacked / path for name, path in PROGRAMS.items()}
    links[home.docker_config / "cli-plugins" / "docker-buildx"] = home.unpacked / BUILDX
    for link, target in links.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(target)


def proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the proxies for builds and containers, under the names of Docker's config.json."""
    names = {"http_proxy": "httpProxy", "https_proxy": "httpsProxy", "no_proxy": "noProxy"}
    found = {key: environ.get(name) or environ.get(name.upper()) for name, key in names.items()}
    return {key: value for key, value in found.items() if value}


def configure_client(home: Home, environ: Mapping[str, str] = os.environ) -> None:
    """Add the environment's proxies to the demo's Docker configuration; keep its other settings."""
    path = home.docker_config / "config.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    wanted = {**before, "proxies": {"default": proxies(environ)}}
    if wanted != before and (proxies(environ) or before):
        write_file(path, json.dumps(wanted, indent=2) + "\n", mode=0o600)


def answers(path: Path) -> bool:
    """Return whether an engine answers on this socket."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(path))
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(64)
    except OSError:
        return False


def start_engine(home: Home, folder: Path, prefix: tuple[str, ...] = ()) -> Process:
    """Start dockerd with its data, configuration, log and socket (`docker.sock`) below `folder`.

    `prefix` is a command that runs dockerd elsewhere, for example nsenter for another network namespace.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "daemon.json", json.dumps(CONFIG) + "\n")
    # dockerd refuses to start if a stale pid file contains the pid of any running process.
    (folder / "docker.pid").unlink(missing_ok=True)
    command = [*prefix, str(home.bin / "dockerd"), "--config-file", str(folder / "daemon.json")]
    command += ["--host", f"unix://{folder / 'docker.sock'}", "--data-root", str(folder / "data")]
    command += ["--exec-root", str(folder / "exec"), "--pidfile", str(folder / "docker.pid")]
    environ = {**os.environ, "PATH": f"{home.bin}:{system_path()}"}
    return start(command, log=folder / "dockerd.log", environ=environ)


def wait_for_engine(process: Process, folder: Path, seconds: float = 60) -> None:
    """Wait until the engine in `folder` answers; raises DemoError with the end of its log if it does not."""
    path, log = folder / "docker.sock", folder / "dockerd.log"
    wait_until(lambda: answers(path) or not is_running(process), seconds)
    if not answers(path):
        stop(process, seconds=10)
        lines = log.read_text(errors="replace").splitlines()
        raise DemoError(f"dockerd: no answer on {path}; the log {log} ends with: {' | '.join(lines[-2:])}")


def is_helper_of(folder: Path, process: Process) -> bool:
    """Return whether the engine in `folder` started this process: its command line contains a path there."""
    try:
        return os.fsencode(f"{folder}/") in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    except OSError:
        return False


def clean_up(home: Home, folder: Path) -> None:
    """Stop and unmount what a killed dockerd leaves behind: containerd and the containers."""
    for name in ("containerd-shim-runc-v2", "containerd"):
        for helper in running_below(home.unpacked, name):
            if is_helper_of(folder, helper):
                for child in (*children_of(helper), helper):
                    stop(child, seconds=5)
    unmount_below(folder)


def mounts_below(folder: Path, mounts: str) -> list[str]:
    """Return the mount points at or below `folder`, deepest first, from the text of /proc/self/mounts."""
    # The kernel writes a blank in a path as \040.
    points = [line.split()[1].encode().decode("unicode_escape") for line in mounts.splitlines()]
    return sorted((point for point in points if Path(point).is_relative_to(folder)), reverse=True)


def unmount_below(folder: Path) -> None:
    """Unmount everything at or below `folder`."""
    for point in mounts_below(folder, Path("/proc/self/mounts").read_text()):
        subprocess.run(["umount", point], capture_output=True, check=False)
