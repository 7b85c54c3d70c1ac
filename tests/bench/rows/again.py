"""Render again: nothing has changed, so nothing is written."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

from tests.bench.measure import Contestant, alternately
from tests.bench.row import Bench, Row, Target
from tests.bench.rows.render import VERSIONS, fresh

_GIT = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "gc.auto=0")


def _commit(root: Path) -> None:
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "rendered")):
        subprocess.run((*_GIT, *words), cwd=root, check=True, stdout=subprocess.DEVNULL)


def measure(bench: Bench) -> Row:
    """Measure the row: the first and the second render, and `git diff` as a replacement for `--check`."""
    root, committed = bench.folder / "again", bench.folder / "again-committed"
    command = bench.dfgen(root, "render")
    fresh(committed, VERSIONS)
    subprocess.run(bench.dfgen(committed, "render"), check=True, stderr=subprocess.DEVNULL)
    _commit(committed)
    render = " ".join(bench.dfgen(committed, "render"))
    cold, again, new, diff = alternately(
        [
            Contestant(name="dfgen render, cold", command=command, before=partial(fresh, root, VERSIONS)),
            Contestant(name="dfgen render, again", command=command),
            Contestant(
                name="dfgen render, again, without the cache", command=command, before=bench.clear_cache
            ),
            Contestant(
                name="the same, then git diff --exit-code",
                command=("sh", "-c", f"{render} && git diff --exit-code"),
                before=bench.clear_cache,
                cwd=committed,
            ),
        ],
        bench.runs,
    )
    return Row(
        title="render again",
        work="the same catalog, rendered before and unchanged",
        series=(again, new, diff, cold),
        targets=[Target(what="dfgen render, again", measured=again.seconds, limit=0.5, unit="s")],
    )
