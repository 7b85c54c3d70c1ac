"""`python -m tests.bench [VERSIONS]`: dfgen and the bare loop in turn, the medians and their ratio.

A row whose outputs differ fails: exit code 1.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.catalog import make

RUNS = 5


def seconds(*command: str) -> float:
    """Run a process to its end and time the whole of it."""
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - start


def is_same(root: Path) -> bool:
    """Whether both wrote the same, header aside: everything from the first FROM on."""
    bare = {path.relative_to(root / "bare"): path for path in (root / "bare").rglob("Dockerfile_*")}
    ours = {path.relative_to(root / "bases"): path for path in (root / "bases").rglob("Dockerfile_*")}
    return bare.keys() == ours.keys() and all(
        "FROM " + ours[name].read_text().partition("\nFROM ")[2] == bare[name].read_text() for name in bare
    )


def main(versions: int) -> int:
    """Run the render row and print it."""
    rows: dict[str, list[float]] = {"dfgen render": [], "bare loop": [], "dfgen render, nothing changed": []}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name, "catalog")
        for _ in range(RUNS):
            shutil.rmtree(root, ignore_errors=True)
            make(root, versions)
            dfgen = (sys.executable, "-m", "dfgen", "-C", str(root), "render")
            rows["dfgen render"].append(seconds(*dfgen))
            rows["bare loop"].append(
                seconds(sys.executable, "-m", "tests.bench.bare", str(root), str(versions))
            )
            rows["dfgen render, nothing changed"].append(seconds(*dfgen))
        same = is_same(root)
    print(f"{versions} versions for two architectures, {RUNS} runs in turn, process start included")
    for what, times in rows.items():
        print(f"{what:32} {statistics.median(times):6.2f} s  ({min(times):.2f} to {max(times):.2f})")
    pairs = zip(rows["dfgen render"], rows["bare loop"], strict=True)
    print(f"dfgen / bare loop: {statistics.median(ours / bare for ours, bare in pairs):.2f}")
    print("the outputs are equal" if same else "THE OUTPUTS DIFFER")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
