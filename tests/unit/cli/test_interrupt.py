"""Ctrl-C and SIGTERM end a command at once, even if it waits for a registry that does not respond."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dfgen.catalog.lockfile import LOCK_FILE
from tests.fakes.registry import FakeRegistry, Fault
from tests.unit.catalogs import write


@pytest.mark.parametrize(("parents", "sign"), [(1, signal.SIGINT), (3, signal.SIGINT), (1, signal.SIGTERM)])
def test_lock_is_interrupted(tmp_path: Path, parents: int, sign: signal.Signals) -> None:
    with FakeRegistry() as registry:
        registry.script("GET", "/manifests/", Fault(status=200, body=b"{" * 1000, stall=True), times=None)
        lines = [f"  v{number}: {{parent: '{registry.address}/os:{number}'}}\n" for number in range(parents)]
        base = f"template: t.j2\nparent: {registry.address}/os:0\nversions:\n{''.join(lines)}"
        write(tmp_path, {"bases/app/base.yaml": base})
        command = [sys.executable, "-m", "dfgen", "-C", str(tmp_path), "lock", "--deadline", "600"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            while registry.count("GET", "/manifests/") < parents:
                assert running.poll() is None
                time.sleep(0.01)
            running.send_signal(sign)
            out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err.strip()) == (130, "", "interrupted")
    assert not (tmp_path / LOCK_FILE).exists()
