"""The page docs/benchmarks.md: a summary, the machine, the versions, a table for each row, and the notes."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from tests.bench.row import Bench, Row

_METHOD = """\
`make bench` writes this page. In each row, dfgen and other tools do the same work. They run in turn, so that
other load on the machine affects all of them alike. Times include the start of the process.

- Seconds: the median of the wall-clock time of all runs, then the fastest and the slowest run.
- CPU: the median of the CPU seconds (user and system).
- Memory: the highest peak of all runs.
- Ratios: the median of the ratios run by run.

Times depend on the machine, and targets in seconds are meant for an idle one. The unit tests count requests, opened
files and compiled templates instead, which do not depend on it.
"""
_PROGRAMS = {
    "crane": ("version",),
    "skopeo": ("--version",),
    "docker": ("--version",),
    "docker-registry": ("--version",),
}


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kind = f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB"
    return f"Machine: {kind}; load when the run began: {os.getloadavg()[0]:.1f}."


def _program(name: str, *words: str) -> str:
    if shutil.which(name) is None:
        return "not available"
    done = subprocess.run((name, *words), capture_output=True, text=True, check=False)
    found = re.search(r"\d[\w.+~-]*", done.stdout)
    return found[0] if found else "(unknown version)"


def _versions(bench: Bench) -> str:
    own = {"Python": platform.python_version(), "Jinja2": metadata.version("jinja2")}
    programs = {name: _program(name, *words) for name, words in _PROGRAMS.items()}
    found = {**own, **bench.peers.versions(), **programs}
    return f"Versions: {', '.join(f'{name} {version}' for name, version in found.items())}."


def summary(rows: Sequence[Row]) -> Iterator[str]:
    """Yield one line with the targets that were reached, and one with those that were missed."""
    reached, missed = [], []
    for row in rows:
        met = [target for target in row.targets if row.same and target.is_reached]
        if met:
            part = f" ({len(met)} of {len(row.targets)})" if len(met) < len(row.targets) else ""
            reached.append(f"{row.title}{part}")
        missed += [f"{row.title}: {target.result}" for target in row.targets if target not in met]
    count = sum(len(row.targets) for row in rows)
    yield f"Targets reached, {count - len(missed)} of {count}: {', '.join(reached) or 'none'}."
    yield f"Targets missed, {len(missed)} of {count}: {'; '.join(missed) or 'none'}."


def section(row: Row) -> Iterator[str]:
    """Yield the lines of the page for one row."""
    yield f"## {row.title}"
    yield ""
    yield f"{row.work[0].upper()}{row.work[1:]}."
    yield ""
    if row.series or row.targets:
        yield from _measured(row)
    else:
        yield f"- Not measured: {', '.join(row.absent)} is not available on this machine."
    yield ""


def _measured(row: Row) -> Iterator[str]:
    if row.series:
        yield from _table(row)
    yield from (f"- {target}" for target in row.targets)
    if not row.same:
        yield "- **The outputs differ, so this row does not count.**"
    for name in row.absent:
        yield f"- Not measured: {name} is not available on this machine."


def _table(row: Row) -> Iterator[str]:
    yield "| command | seconds | fastest to slowest | CPU | memory |"
    yield "|---|---|---|---|---|"
    for one in row.series:
        fastest, slowest = one.spread
        yield (
            f"| {one.name} | {one.seconds:.3f} | {fastest:.3f} to {slowest:.3f} | {one.cpu:.3f}"
            f" | {one.memory:.0f} MiB |"
        )
    yield ""


def page(bench: Bench, rows: Sequence[Row], notes: str, chart: str) -> str:
    """Return the page; `notes` is the text of notes.md, `chart` the chart's path."""
    lines = ["# Benchmarks", "", *(f"- {line}" for line in summary(rows)), "", _METHOD]
    lines += [f"- {line}" for line in (_machine(), _versions(bench), f"Runs: {bench.runs} per command.")]
    lines.append("")
    for row in rows:
        lines += section(row)
        if row.sizes:
            lines += [f"![Time and memory by number of versions]({chart})", ""]
    return "\n".join([*lines, notes])


def notes() -> str:
    """Return the text of notes.md, which people maintain."""
    return Path(__file__).with_name("notes.md").read_text(encoding="utf-8")
