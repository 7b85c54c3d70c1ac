"""Ctrl-C and SIGTERM at any moment: one line, exit code 130, and no file that is written in part."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dfgen.commands.render import is_intact
from tests.bench.catalog import make
from tests.unit.cli.run import dfgen

# Sends the signal to itself when an event of Python's auditing happens for the n-th time.
CHILD = """
import os, signal, sys
from dfgen.cli import main  # first: whether importing it compiles anything depends on earlier runs
event, left, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def hook(found, values):
    global left
    if found == event:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), number)
sys.addaudithook(hook)
main(sys.argv[4:])
"""


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("command", "event", "times"),
    [
        ("render", "os.rename", 1),
        ("render", "os.rename", 7),
        ("render", "os.truncate", 3),
        ("render", "compile", 1),
        ("render", "os.scandir", 2),
        ("lint", "os.scandir", 2),
        ("lint", "compile", 1),
        ("lock", "socket.getaddrinfo", 1),
    ],
)
def test_a_signal_ends_a_command(
    command: str, event: str, times: int, sign: signal.Signals, tmp_path: Path
) -> None:
    make(tmp_path, 10)
    if command == "lock":
        (tmp_path / "bases/lock.json").unlink()
    words = (sys.executable, "-c", CHILD, event, str(times), str(int(sign)), "-C", str(tmp_path), command)
    environment = {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=environment, timeout=120)
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (130, ["interrupted"])
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.rglob(".*.dfgen-tmp")] == []
    assert all(is_intact(path.read_text()) for path in tmp_path.rglob("Dockerfile_*"))
    if command == "render":
        assert dfgen("-C", tmp_path, "render").status == 0
        assert dfgen("-C", tmp_path, "render", "--check").status == 0
