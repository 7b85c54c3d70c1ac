"""Build: images on busybox without BuildKit's cache, compared with `docker buildx bake` of the same files."""

from __future__ import annotations

from tests.bench import engine
from tests.bench.measure import Contestant, alternately
from tests.bench.row import Bench, Row, Target
from tests.bench.serving import serve

IMAGES = 20
_TITLE = "build"
_WORK = f"{IMAGES} images on busybox with two RUN each, without cache, for two architectures if the engine runs both"
_INSTRUCTIONS = """\
RUN mkdir -p /app
RUN echo "$VERSION" > /app/version
USER 1000
CMD ["cat", "/app/version"]
"""


def measure(bench: Bench) -> Row:
    """Measure the row; dfgen and bake must build every image with the same digest."""
    if absent := engine.missing(bench):
        return Row.left_out(_TITLE, _WORK, absent)
    with serve(bench, "build") as served:
        work = engine.prepare(bench, served, "build", IMAGES, _INSTRUCTIONS)
        ours, bake = alternately(
            [
                Contestant(
                    name="dfgen build --no-cache",
                    command=bench.dfgen(work.root, "build", "--no-cache"),
                    before=work.delete_built,
                ),
                Contestant(
                    name="docker buildx bake --no-cache",
                    command=work.bake("--no-cache", *work.targets),
                    before=work.delete_baked,
                    cwd=work.root,
                ),
            ],
            bench.runs,
        )
    return Row(
        title=_TITLE,
        work=_WORK,
        series=(ours, bake),
        targets=[Target(what="dfgen / bake", measured=ours.ratio(bake), limit=1.05, unit="times")],
        same=work.built() == work.baked() and len(work.built()) == IMAGES,
    )
