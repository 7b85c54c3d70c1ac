"""Check: the commands that run for a pull request, on 1,000 versions for two architectures."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from tests.bench.measure import Contestant, alternately
from tests.bench.row import Bench, Row, Target
from tests.bench.rows.render import VERSIONS, fresh

_FAMILY = "bases/family-3/base.yaml"
_LINE = "bases/family-3/350.0/Dockerfile_arm64:6"
_AUTHOR = ("-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "gc.auto=0")


def _git(root: Path, *words: str) -> None:
    subprocess.run(("git", *_AUTHOR, *words), cwd=root, check=True, stdout=subprocess.DEVNULL)


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def _output(command: tuple[str, ...]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _changed(bench: Bench, root: Path) -> list[int]:
    """Return the number of files in each group of a review."""
    found = json.loads(_output(bench.dfgen(root, "--format", "json", "review", "HEAD")))
    return [len(group["files"]) for group in found["groups"]]


def _prepare(bench: Bench) -> tuple[Path, Path]:
    """Make two catalogs in git: all versions changed since HEAD, and one version changed."""
    everything, one = bench.folder / "check-all", bench.folder / "check-one"
    fresh(everything, VERSIONS)
    _output(bench.dfgen(everything, "render"))
    _git(everything, "init", "-q")
    _git(everything, "add", "-A")
    _git(everything, "commit", "-qm", "before")
    shutil.copytree(everything, one)
    _edit(everything / "templates/base.j2", "USER 1000", "USER 1001")
    _edit(one / _FAMILY, "{java: 350}}", "{java: 350}, packages: [curl, git, jq]}")
    for root in (everything, one):
        _output(bench.dfgen(root, "render"))
    return everything, one


def measure(bench: Bench) -> Row:
    """Measure the row; `git diff` is what a reviewer would read without dfgen."""
    everything, one = _prepare(bench)
    names = (
        "dfgen render --check, without the cache",
        "dfgen review, all changed",
        "dfgen review, one version",
        "dfgen explain",
    )
    commands = (
        bench.dfgen(everything, "render", "--check"),
        bench.dfgen(everything, "review", "HEAD"),
        bench.dfgen(one, "review", "HEAD"),
        bench.dfgen(everything, "explain", _LINE),
    )
    contestants = [
        Contestant(name=name, command=words, before=bench.clear_cache)
        for name, words in zip(names, commands, strict=True)
    ]
    raw = Contestant(name="git diff, all changed", command=("git", "diff", "HEAD"), cwd=everything)
    series = alternately([*contestants, raw], bench.runs)
    limits = (3.0, 3.0, 3.0, 0.5)
    return Row(
        title="check",
        work=f"the checks of a pull request, on {VERSIONS:,} versions for two architectures",
        series=series,
        targets=[
            Target(what=found.name, measured=found.seconds, limit=limit, unit="s")
            for found, limit in zip(series, limits, strict=False)
        ],
        same=(_changed(bench, everything), _changed(bench, one)) == ([2 * VERSIONS], [2])
        and "templates/base.j2:" in _output(bench.dfgen(everything, "explain", _LINE)),
    )
