"""The alternative without dfgen: a shell script that calls another tool once per item."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tests.bench.measure import Contestant

Call = Sequence[str]


def loop(
    name: str,
    calls: Iterable[Call],
    folder: Path,
    *,
    before: Callable[[], None] = lambda: None,
    after: Callable[[], None] = lambda: None,
) -> Contestant:
    """Return a shell script that runs the calls one after the other; each writes to its own `output_file`."""
    folder.mkdir(parents=True)
    lines = [
        f"{shlex.join(call)} > {shlex.quote(str(output_file(folder, number)))}"
        for number, call in enumerate(calls)
    ]
    (folder / "loop.sh").write_text("\n".join(["set -e", *lines, ""]), encoding="utf-8")
    return Contestant(name=name, command=("sh", str(folder / "loop.sh")), before=before, after=after)


def output_file(folder: Path, number: int) -> Path:
    """Return the file with the output of a call, counted from 0."""
    return folder / f"{number}.out"
