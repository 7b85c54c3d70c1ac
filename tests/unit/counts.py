"""Count what a run of dfgen does: files opened in the catalog, templates compiled, instructions parsed, programs run.

`python -m tests.unit.counts -C DIR ARGUMENTS…` runs dfgen and prints the counts as its last line of output. With
`--calls` as its first argument it counts calls of Python functions instead.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

_MARK = "counts: "


def count(root: Path, *words: str) -> dict[str, int]:
    """Run dfgen in a separate process and return the counts."""
    return _run("-C", str(root), *words)


def calls(root: Path, *words: str) -> int:
    """Run dfgen in a separate process and return the number of Python function calls."""
    return _run("--calls", "-C", str(root), *words)["calls"]


def _run(*words: str) -> dict[str, int]:
    command = (sys.executable, "-m", "tests.unit.counts", *words)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    last = done.stdout.splitlines()[-1]
    counted: dict[str, int] = json.loads(last.removeprefix(_MARK))
    return counted


def main(arguments: list[str]) -> None:
    """Run dfgen and print the counts."""
    counted: Counter[str] = Counter()
    root = str(Path(arguments[1]))

    def hook(event: str, values: tuple[object, ...]) -> None:
        if event == "open" and str(values[0]).startswith(f"{root}/"):
            counted["files opened"] += 1
        elif event == "compile" and str(values[1]).endswith(".j2"):
            counted["templates compiled"] += 1
        elif event == "subprocess.Popen":
            counted["programs run"] += 1

    sys.addaudithook(hook)
    from dfgen.cli import main as dfgen
    from dfgen.dockerfile.parser import read_instruction

    try:
        dfgen(arguments)
    finally:
        counted["instructions read"] = read_instruction.cache_info().misses
        print(_MARK + json.dumps(dict(sorted(counted.items()))))


def main_calls(arguments: list[str]) -> None:
    """Run dfgen and print the number of function calls."""
    from dfgen.cli import main as dfgen

    counted = 0

    def hook(_frame: object, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event == "call"

    sys.setprofile(hook)
    try:
        dfgen(arguments)
    finally:
        sys.setprofile(None)
        print(_MARK + json.dumps({"calls": counted}))


if __name__ == "__main__":
    if sys.argv[1] == "--calls":
        main_calls(sys.argv[2:])
    else:
        main(sys.argv[1:])
