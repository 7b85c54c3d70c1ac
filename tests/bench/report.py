"""The page that a run writes: the table, the machine's kind, the versions, what was found and what is left."""

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

_HEAD = """\
# Benchmarks

Written by `make bench`. Every row is the same work done by dfgen and by what one would use instead, process
start included, run in turn, so that what else the machine does falls on all alike. A time is the median of the
runs on the clock, the processor's seconds beside it; a ratio is the median of the ratios run by run. Times
depend on the machine, and aims in seconds are those of an idle one. The unit tests count requests, opened files and
compiled templates, which do not depend on it.
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
        return "not to be had"
    done = subprocess.run((name, *words), capture_output=True, text=True, check=False)
    found = re.search(r"\d[\w.+~-]*", done.stdout)
    return found[0] if found else "of unknown version"


def _versions(bench: Bench) -> str:
    own = {"Python": platform.python_version(), "Jinja2": metadata.version("jinja2")}
    programs = {name: _program(name, *words) for name, words in _PROGRAMS.items()}
    found = {**own, **bench.peers.versions(), **programs}
    return f"Versions: {', '.join(f'{name} {version}' for name, version in found.items())}."


def lines(row: Row) -> Iterator[str]:
    """What the page says of a row."""
    yield f"## {row.title}"
    yield ""
    yield f"{row.work[0].upper()}{row.work[1:]}."
    yield ""
    if row.series or row.aims:
        yield from _measured(row)
    else:
        yield f"- Left out: it needs {', '.join(row.absent)}, which could not be had on this machine."
    yield ""


def _measured(row: Row) -> Iterator[str]:
    if row.series:
        yield from _table(row)
    yield from (f"- {aim}" for aim in row.aims)
    if not row.same:
        yield "- **The outputs differ: this row does not count.**"
    for name in row.absent:
        yield f"- {name} could not be had on this machine, and is not in the row."


def _table(row: Row) -> Iterator[str]:
    yield "| what | seconds | fastest to slowest | processor | memory |"
    yield "|---|---|---|---|---|"
    for one in row.series:
        fastest, slowest = one.spread
        yield (
            f"| {one.name} | {one.seconds:.3f} | {fastest:.3f} to {slowest:.3f} | {one.cpu:.3f}"
            f" | {one.memory:.0f} MiB |"
        )
    yield ""


def text(bench: Bench, rows: Sequence[Row], notes: str, chart: str) -> str:
    """The whole page; `notes` are those that people write, `chart` the file name of the picture."""
    page = [_HEAD, _machine(), _versions(bench), f"Runs of each: {bench.runs}.", ""]
    for row in rows:
        page += lines(row)
        if row.sizes:
            page += [f"![Cost against size]({chart})", ""]
    return "\n".join([*page, notes])


def notes() -> str:
    """What was found and what is left, kept beside the rows."""
    return Path(__file__).with_name("notes.md").read_text(encoding="utf-8")
