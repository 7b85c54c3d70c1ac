"""No-op build: all images are built, and nothing has changed since."""

from __future__ import annotations

import subprocess
from dataclasses import replace

from tests.bench import engine
from tests.bench.engine import Work
from tests.bench.loops import loop
from tests.bench.measure import Contestant, alternately
from tests.bench.row import Bench, Row, Target
from tests.bench.serving import serve

IMAGES = 200
PER_CALL = 20  # with 200 images in one bake, BuildKit fails with "no such job"
RUNS = 3  # fewer than in other rows, because bake is slow here
_TITLE = "no-op build"
_WORK = (
    f"{IMAGES} images, all built, for two architectures if the engine runs both; bake has everything in its cache,"
    f" writes nothing, and gets {PER_CALL} images per call; {RUNS} runs each"
)
_INSTRUCTIONS = 'COPY start /start\nUSER 1000\nCMD ["/start"]\n'


def _bake(work: Work, bench: Bench) -> Contestant:
    parts = [work.targets[at : at + PER_CALL] for at in range(0, IMAGES, PER_CALL)]
    calls = [work.bake("--set", "*.output=type=cacheonly", *part) for part in parts]
    found = loop("docker buildx bake, all cached", calls, bench.folder / "unchanged/loop")
    return replace(found, cwd=work.root)


def _is_same(work: Work) -> bool:
    """Return whether bake builds images from its cache with the digests of dfgen."""
    part = work.targets[:PER_CALL]
    subprocess.run(work.bake(*part), cwd=work.root, check=True, capture_output=True)
    return len(work.built()) == IMAGES and len(work.baked()) == PER_CALL and work.baked() <= work.built()


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
        targets=[
            Target(what="bake / dfgen", measured=faster, limit=10, unit="times", at_least=True),
            Target(what="dfgen plan", measured=plan.seconds, limit=1, unit="s"),
        ],
        same=same,
    )
