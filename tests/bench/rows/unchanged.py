"""No-op build: all that a catalog has is built, and nothing has changed since."""

from __future__ import annotations

import subprocess
from dataclasses import replace

from tests.bench import engine
from tests.bench.engine import Work
from tests.bench.loops import loop
from tests.bench.measure import Contestant, alternately
from tests.bench.row import Aim, Bench, Row
from tests.bench.serving import serve

IMAGES = 200
AT_ONCE = 20  # more in one bake, and BuildKit ends it with "no such job"
RUNS = 3  # of bake, which takes its time
_TITLE = "no-op build"
_WORK = (
    f"{IMAGES} images that are built, for two architectures where the engine runs both; bake has all of it in its"
    f" cache, writes nothing, and gets {AT_ONCE} images a call; {RUNS} runs each"
)
_INSTRUCTIONS = 'COPY start /start\nUSER 1000\nCMD ["/start"]\n'


def _bake(work: Work, bench: Bench) -> Contestant:
    parts = [work.targets[at : at + AT_ONCE] for at in range(0, IMAGES, AT_ONCE)]
    calls = [work.bake("--set", "*.output=type=cacheonly", *part) for part in parts]
    found = loop("docker buildx bake, all cached", calls, bench.folder / "unchanged/loop")
    return replace(found, cwd=work.root)


def _is_same(work: Work) -> bool:
    """Whether bake gives images out of its cache the digests that dfgen leaves alone."""
    part = work.targets[:AT_ONCE]
    subprocess.run(work.bake(*part), cwd=work.root, check=True, capture_output=True)
    return len(work.built()) == IMAGES and len(work.baked()) == AT_ONCE and work.baked() <= work.built()


def measure(bench: Bench) -> Row:
    """Measure the row."""
    if absent := engine.missing(bench):
        return Row.left_out(_TITLE, _WORK, absent)
    with serve(bench, "unchanged") as served:
        work = engine.prepare(bench, served, "unchanged", IMAGES, _INSTRUCTIONS)
        work.dfgen("build")
        same = _is_same(work)
        ours, plan, bake = alternately(
            [
                Contestant(name="dfgen build", command=bench.dfgen(work.root, "build")),
                Contestant(name="dfgen plan", command=bench.dfgen(work.root, "plan")),
                _bake(work, bench),
            ],
            min(bench.runs, RUNS),
        )
    faster = 1 / ours.ratio(bake)
    return Row(
        title=_TITLE,
        work=_WORK,
        series=(ours, plan, bake),
        aims=[
            Aim(what="bake / dfgen", measured=faster, limit=10, unit="times", at_least=True),
            Aim(what="dfgen plan", measured=plan.seconds, limit=1, unit="s"),
        ],
        same=same,
    )
