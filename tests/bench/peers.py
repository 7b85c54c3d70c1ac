"""The peers: programs on PATH, and those of the package index in an environment of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PACKAGES = ("distgen", "cekit", "kolla")
_BESIDE = ("docker",)  # which kolla-build does not start without, and does not ask for
# From the machine's own release; crane, docker and the registry come with the demo's engine.
_SYSTEM = ("skopeo",)
_PATIENCE = 180  # seconds for pip, or for apt-get


@dataclass(frozen=True, slots=True)
class Peers:
    """Where the peers of the package index are installed."""

    environment: Path

    def find(self, program: str) -> str | None:
        """The program's path, or None when it could not be had."""
        own = self.environment / "bin" / program
        return str(own) if own.exists() else shutil.which(program)

    def version(self, package: str) -> str:
        """The installed version of a package of the index, or that it is absent."""
        query = f"import importlib.metadata as m; print(m.version({package!r}))"
        python = self.environment / "bin" / "python"
        if not python.exists():
            return "not to be had"
        found = subprocess.run((python, "-c", query), capture_output=True, text=True, check=False)
        return found.stdout.strip() or "not to be had"

    def versions(self) -> dict[str, str]:
        """The version of every package that is asked for."""
        return {package: self.version(package) for package in _PACKAGES}


def install() -> Peers:
    """Install what pip and, as root, apt-get can, once; what they cannot is absent."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "dfgen-bench")
    peers = Peers(cache / "peers")
    python = peers.environment / "bin" / "python"
    if not python.exists():
        subprocess.run((sys.executable, "-m", "venv", peers.environment), check=True)
    for package in (*_BESIDE, *_PACKAGES):
        if not any(peers.environment.glob(f"lib/*/site-packages/{package}-*.dist-info")):
            _install(python, package)
    if shutil.which("apt-get") and os.geteuid() == 0:
        _install_system([program for program in _SYSTEM if shutil.which(program) is None])
    return peers


def _install(python: Path, package: str) -> None:
    command = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package)
    try:
        subprocess.run(command, check=False, capture_output=True, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        print(f"{package}: pip did not end within {_PATIENCE} s", file=sys.stderr)


def _install_system(packages: Sequence[str]) -> None:
    """Install Debian packages; a new machine has no lists of them yet."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    wanted = ("install", "--no-install-recommends", *packages)
    for words in (wanted, ("update",), wanted) if packages else ():
        command = ("apt-get", "-qq", "-y", *words)
        done = subprocess.run(command, env=environment, check=False, capture_output=True, timeout=_PATIENCE)
        if words == wanted and not done.returncode:
            return
