"""A Docker engine of the demo's own: its programs, its configuration, its start and its end."""

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

# crane is here for whoever wants a second opinion on what was published, the tests among them.
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
    """PATH with the administrator's folders, which a user's shell may lack."""
    return f"{os.environ.get('PATH', os.defpath)}:{ADMIN_PATH}"


def missing_system_packages() -> list[str]:
    """The packages of the machine's own release that the engine needs beside its own programs."""
    return [name for name in ("runc", "iptables") if not shutil.which(name, path=system_path())]


def wanted_files() -> set[str]:
    """The files that are needed of the packages."""
    return {*PROGRAMS.values(), BUILDX, *emulation.WANTED}


def has_programs(home: Home) -> bool:
    """Whether everything that is needed of the packages is unpacked."""
    return all((home.unpacked / path).exists() for path in wanted_files())


def unpack_programs(home: Home, apt: Apt) -> None:
    """Downloads the packages of engine, registry and emulation, and unpacks what is needed of them."""
    names, wanted = (*PACKAGES, *emulation.PACKAGES), wanted_files()
    with tempfile.TemporaryDirectory(dir=home.root) as folder:
        missing = wanted - unpack(apt.download(names), Path(folder), wanted)
        if missing:
            raise DemoError(f"Debian {apt.suite}: no {min(missing)} in {' '.join(names)}, expected it there")
        for path in wanted:
            # A program that runs can be replaced, not written to.
            (home.unpacked / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / path).replace(home.unpacked / path)


def link_programs(home: Home) -> None:
    """Links the unpacked programs into the folder's bin, and buildx into its Docker configuration."""
    links = {home.bin / name: home.unpacked / path for name, path in PROGRAMS.items()}
    links[home.docker_config / "cli-plugins" / "docker-buildx"] = home.unpacked / BUILDX
    for link, target in links.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(target)


def proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """The proxies that builds and containers need too, as Docker's configuration names them."""
    names = {"http_proxy": "httpProxy", "https_proxy": "httpsProxy", "no_proxy": "noProxy"}
    found = {key: environ.get(name) or environ.get(name.upper()) for name, key in names.items()}
    return {key: value for key, value in found.items() if value}


def configure_client(home: Home, environ: Mapping[str, str] = os.environ) -> None:
    """Writes the proxies of the environment into the folder's Docker configuration, beside what is there."""
    path = home.docker_config / "config.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    wanted = {**before, "proxies": {"default": proxies(environ)}}
    if wanted != before and (proxies(environ) or before):
        write_file(path, json.dumps(wanted, indent=2) + "\n", mode=0o600)


def answers(path: Path) -> bool:
    """Whether an engine answers on this socket."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(path))
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(64)
    except OSError:
        return False


def start_engine(home: Home, folder: Path, prefix: tuple[str, ...] = ()) -> Process:
    """Starts dockerd with everything of it below `folder`, its socket `docker.sock` there too.

    `prefix` is a command that runs dockerd elsewhere, such as nsenter for another network namespace.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "daemon.json", json.dumps(CONFIG) + "\n")
    # dockerd believes an old pid file when any process has that pid by now.
    (folder / "docker.pid").unlink(missing_ok=True)
    command = [*prefix, str(home.bin / "dockerd"), "--config-file", str(folder / "daemon.json")]
    command += ["--host", f"unix://{folder / 'docker.sock'}", "--data-root", str(folder / "data")]
    command += ["--exec-root", str(folder / "exec"), "--pidfile", str(folder / "docker.pid")]
    environ = {**os.environ, "PATH": f"{home.bin}:{system_path()}"}
    return start(command, log=folder / "dockerd.log", environ=environ)


def wait_for_engine(process: Process, folder: Path, seconds: float = 60) -> None:
    """Waits until the engine of `folder` answers; ends it and says why when it does not."""
    path, log = folder / "docker.sock", folder / "dockerd.log"
    wait_until(lambda: answers(path) or not is_running(process), seconds)
    if not answers(path):
        stop(process, seconds=10)
        lines = log.read_text(errors="replace").splitlines()
        raise DemoError(f"dockerd: no answer on {path}; its log {log} ends: {' | '.join(lines[-2:])}")


def serves(process: Process, folder: Path) -> bool:
    """Whether a helper was started by the engine of `folder`: its command names a path there."""
    try:
        return os.fsencode(f"{folder}/") in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    except OSError:
        return False


def clear_up(home: Home, folder: Path) -> None:
    """Ends and unmounts what dockerd leaves behind when it is killed: containerd, and the containers."""
    for name in ("containerd-shim-runc-v2", "containerd"):
        for helper in running_below(home.unpacked, name):
            if serves(helper, folder):
                for child in (*children_of(helper), helper):
                    stop(child, seconds=5)
    unmount_below(folder)


def mounts_below(folder: Path, mounts: str) -> list[str]:
    """The mount points at or below `folder` in the text of /proc/self/mounts, the deepest first."""
    places = [line.split()[1].encode().decode("unicode_escape") for line in mounts.splitlines()]
    return sorted((place for place in places if Path(place).is_relative_to(folder)), reverse=True)


def unmount_below(folder: Path) -> None:
    """Unmounts what is left at or below `folder`."""
    for place in mounts_below(folder, Path("/proc/self/mounts").read_text()):
        subprocess.run(["umount", place], capture_output=True, check=False)
