"""What a person would write without dfgen: one call of a peer after the other, in a shell loop."""

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
    """A shell that makes the calls; what each prints is in a file of its own (`out`)."""
    folder.mkdir(parents=True)
    lines = [
        f"{shlex.join(call)} > {shlex.quote(str(out(folder, number)))}" for number, call in enumerate(calls)
    ]
    (folder / "loop.sh").write_text("\n".join(["set -e", *lines, ""]), encoding="utf-8")
    return Contestant(name=name, command=("sh", str(folder / "loop.sh")), before=before, after=after)


def out(folder: Path, number: int) -> Path:
    """What the call of that number printed."""
    return folder / f"{number}.out"
