"""Publish: built images to an empty registry, and again, compared with loops of other tools."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import built
from tests.bench.loops import Call, loop
from tests.bench.measure import Contestant, Series, alternately
from tests.bench.row import Bench, Row, Target
from tests.bench.serving import PROGRAM, ROUND_TRIP, Served, far, serve

VERSIONS, SIZE = 10, 50_000_000
FAR = 3  # tags that the loops push to a far registry
_TITLE = "publish"
_WORK = (
    f"{2 * VERSIONS} images of {SIZE // 1_000_000} MB ({VERSIONS} versions for two architectures) with {3 * VERSIONS}"
    f" tags: to an empty registry, again, and again to one {ROUND_TRIP * 1000:.0f} ms away (loops push {FAR} tags)"
)
_PEERS = ("skopeo", "crane")


@dataclass(kw_only=True)
class _Work:
    """The built catalog and the registry; `same` if all tags matched the layout after every run."""

    bench: Bench
    root: Path
    near: Served
    empty: Callable[[], None]
    same: bool = True

    def check(self) -> None:
        """Compare all tags in the registry with the layout."""
        for name, entry in built.tags(self.root).items():
            self.same = self.same and self.near.digest(f"team/{name}") == str(entry.digest)

    def reset(self) -> None:
        """Empty the registry, and delete dfgen's record of published tags."""
        self.empty()
        (self.root / "dist/published.json").unlink(missing_ok=True)

    def words(self, served: Served) -> Sequence[str]:
        """Return the arguments of dfgen."""
        return ("publish", "--registry", f"{served.address}/team")

    def command(self, served: Served) -> Sequence[str]:
        """Return the command line of dfgen."""
        return self.bench.dfgen(self.root, *self.words(served))


def _single_entry(root: Path, name: str, folder: Path) -> Path:
    """Return a layout with one entry, as `crane push` requires; its blobs are a link to the other layout."""
    entry = built.tags(root)[name]
    layout = folder / name.replace(":", "-")
    layout.mkdir(parents=True, exist_ok=True)
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry.to_json()]}))
    if not (layout / "blobs").exists():
        (layout / "blobs").symlink_to(root / "dist/blobs")
    return layout


def _calls(program: str, work: _Work, served: Served) -> Iterator[Call]:
    for name in built.tags(work.root):
        target = f"{served.address}/team/{name}"
        if program == "crane":
            layout = _single_entry(work.root, name, work.bench.folder / "publish/layouts")
            yield ("crane", "push", str(layout), target)
        else:
            source = f"oci:{work.root / 'dist'}:{name}"
            yield ("skopeo", "copy", "--all", "--dest-tls-verify=false", source, f"docker://{target}")


def _loops(work: _Work, served: Served, label: str, **hooks: Callable[[], None]) -> Iterator[Contestant]:
    for program in filter(work.bench.peers.find, _PEERS):
        calls = list(_calls(program, work, served))
        words = {"crane": "crane push", "skopeo": "skopeo copy --all"}[program]
        calls = calls[-FAR:] if served is not work.near else calls
        folder = work.bench.folder / f"publish/{program}-{label.replace(' ', '-')}"
        yield loop(f"{words}, {label}", calls, folder, **hooks)


def _ratio(ours: Series, others: Sequence[Series], scale: float = 1.0) -> float:
    return min((other.ratio(ours) for other in others), default=0.0) * scale


def _measure(bench: Bench, near: Served, away: Served) -> Row:
    root = bench.folder / "publish/catalog"
    make = (sys.executable, "-m", "tests.bench.built", str(root), str(VERSIONS), str(SIZE))
    subprocess.run(make, check=True)
    work = _Work(bench=bench, root=root, near=near, empty=near.snapshot())
    before, after, command = work.reset, work.check, work.command(near)
    cold = [
        Contestant(name="dfgen publish, cold", command=command, before=before, after=after),
        *_loops(work, near, "cold", before=before, after=after),
    ]
    first, *others = alternately(cold, bench.runs)
    found, targets = [first, *others], []
    if others:
        slower = 1 / _ratio(first, others)
        targets.append(
            Target(what="dfgen / fastest other tool, cold", measured=slower, limit=1, unit="times")
        )
    for served, label, scale in (
        (near, "again", 1.0),
        (away, f"again, {ROUND_TRIP * 1000:.0f} ms away", 3 * VERSIONS / FAR),
    ):
        again = [
            Contestant(name=f"dfgen publish, {label}", command=work.command(served)),
            *_loops(work, served, label),
        ]
        ours, *others = alternately(again, bench.runs)
        found += [ours, *others]
        if others:
            what = f"fastest other tool / dfgen, {label}"
            ratio = _ratio(ours, others, scale)
            targets.append(Target(what=what, measured=ratio, limit=10, unit="times", at_least=True))
    work.check()
    return Row(
        title=_TITLE,
        work=_WORK,
        series=found,
        targets=targets,
        same=work.same,
        absent=[program for program in _PEERS if not bench.peers.find(program)],
    )


def measure(bench: Bench) -> Row:
    """Measure the row."""
    if bench.peers.find(PROGRAM) is None:
        return Row.left_out(_TITLE, _WORK, [PROGRAM])
    with serve(bench, "publish") as near, far(near, ROUND_TRIP) as away:
        return _measure(bench, near, away)
