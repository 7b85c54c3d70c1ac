"""Install: the size on disk of a fresh installation from wheels."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from tests.bench.row import Bench, Row, Target

_TITLE = "install"
_WORK = "dfgen and its dependencies, installed from wheels only, in a new virtual environment without pip"
_ROOT = Path(__file__).parents[3]


def measure(bench: Bench) -> Row:
    """Measure the row."""
    environment = bench.folder / "installed"
    try:
        _install(bench.folder / "wheels", environment)
    except subprocess.CalledProcessError as error:
        print(error.stderr, file=sys.stderr)
        return Row.left_out(_TITLE, _WORK, ["a package index"])
    size = sum(path.lstat().st_size for path in environment.rglob("*") if not path.is_dir())
    return Row(
        title=_TITLE,
        work=_WORK,
        series=(),
        targets=[Target(what="size on disk", measured=size / 2**20, limit=60, unit="MiB")],
    )


def _install(wheels: Path, environment: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    _run(*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(_ROOT))
    (wheel,) = wheels.glob("dfgen-*.whl")
    venv.create(environment, symlinks=True)
    python = str(environment / "bin" / "python")
    _run(*pip, "--python", python, "install", "--only-binary", ":all:", str(wheel))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
