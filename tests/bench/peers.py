"""The other tools: programs on PATH, and Python packages in their own virtual environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PACKAGES = ("distgen", "cekit", "kolla")
_ALSO = ("docker",)  # kolla-build needs it to start, but does not declare it
# Debian packages to install; crane, docker and the registry come with the demo's engine.
_SYSTEM = ("skopeo",)
_TIMEOUT = 180  # seconds for pip or apt-get


@dataclass(frozen=True, slots=True)
class Peers:
    """The virtual environment with the tools that pip installs."""

    environment: Path

    def find(self, program: str) -> str | None:
        """Return the program's path; None if it is not available."""
        own = self.environment / "bin" / program
        return str(own) if own.exists() else shutil.which(program)

    def version(self, package: str) -> str:
        """Return the installed version of a Python package, or "not available"."""
        query = f"import importlib.metadata as m; print(m.version({package!r}))"
        python = self.environment / "bin" / "python"
        if not python.exists():
            return "not available"
        found = subprocess.run((python, "-c", query), capture_output=True, text=True, check=False)
        return found.stdout.strip() or "not available"

    def versions(self) -> dict[str, str]:
        """Return the version of every Python package to compare with."""
        return {package: self.version(package) for package in _PACKAGES}


def install() -> Peers:
    """Install missing tools with pip and, as root, with apt-get; failures leave a tool unavailable."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "dfgen-bench")
    peers = Peers(cache / "peers")
    python = peers.environment / "bin" / "python"
    if not python.exists():
        subprocess.run((sys.executable, "-m", "venv", peers.environment), check=True)
    for package in (*_ALSO, *_PACKAGES):
        if not any(peers.environment.glob(f"lib/*/site-packages/{package}-*.dist-info")):
            _install(python, package)
    if shutil.which("apt-get") and os.geteuid() == 0:
        _install_system([program for program in _SYSTEM if shutil.which(program) is None])
    return peers


def _install(python: Path, package: str) -> None:
    command = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package)
    try:
        subprocess.run(command, check=False, capture_output=True, timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        print(f"{package}: pip timed out after {_TIMEOUT} s", file=sys.stderr)


def _install_system(packages: Sequence[str]) -> None:
    """Install Debian packages; on a new machine, fetch the package lists first."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    wanted = ("install", "--no-install-recommends", *packages)
    for words in (wanted, ("update",), wanted) if packages else ():
        command = ("apt-get", "-qq", "-y", *words)
        done = subprocess.run(command, env=environment, check=False, capture_output=True, timeout=_TIMEOUT)
        if words == wanted and not done.returncode:
            return
