"""The processor's instructions, counted by callgrind: the same on an idle machine and on a busy one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.catalog import make
from tests.bench.row import Bench

PROGRAM = "valgrind"
FEW, MANY = 20, 120  # versions, for two architectures: what is done once is in both
_COLLECTED = re.compile(r"Collected : (\d+)")


def told(bench: Bench) -> list[str]:
    """Say what a Dockerfile takes dfgen and the bare loop, and all that they do besides; nothing without valgrind."""
    if bench.peers.find(PROGRAM) is None:
        return []
    counted: list[tuple[int, int]] = []
    for versions in (FEW, MANY):
        root = bench.folder / f"callgrind-{versions}"
        make(root, versions)
        bare = (sys.executable, "-m", "tests.bench.bare", str(root), str(versions))
        counted.append((_count(bench.dfgen(root, "render"), root), _count(bare, root)))
    few, many = counted
    each = [(more - less) / (2 * (MANY - FEW)) for less, more in zip(few, many, strict=True)]
    once = [less - 2 * FEW * one for less, one in zip(few, each, strict=True)]
    return [
        f"Instructions of the processor, by callgrind: a Dockerfile takes dfgen {each[0]:,.0f} and the bare loop"
        f" {each[1]:,.0f} ({each[0] / each[1]:.2f} times as many); what is done once takes {once[0] / 1e6:,.0f} and"
        f" {once[1] / 1e6:,.0f} millions."
    ]


def _count(command: Sequence[str], root: Path) -> int:
    """Count a run that remembers nothing of earlier ones."""
    under = (PROGRAM, "--tool=callgrind", "--callgrind-out-file=/dev/null", *command)
    environment = {**os.environ, "PYTHONHASHSEED": "0", "XDG_CACHE_HOME": str(root / "cache")}
    done = subprocess.run(under, env=environment, capture_output=True, text=True, check=True)
    found = _COLLECTED.search(done.stderr)
    assert found, done.stderr
    return int(found[1])
