"""cekit renders one Dockerfile per process; its image description is as close to the benchmark's as possible."""

from __future__ import annotations

from tests.bench.measure import Contestant
from tests.bench.row import Bench

_IMAGE = """\
name: example/java
version: "0.0"
from: docker.io/library/java:0
labels:
  - {name: org.example.version, value: "0.0"}
packages:
  manager: apt-get
  install: [curl, git]
run:
  user: 1000
  cmd: [java]
envs:
"""
_SETTINGS = 30
_FIRST, _LAST = "    FROM docker.io/library/java:0", '    CMD ["java"]'


def contestant(bench: Bench) -> Contestant | None:
    """Return its command, run in its own folder; None if cekit is not available."""
    program = bench.peers.find("cekit")
    if program is None:
        return None
    folder = bench.folder / "cekit"
    folder.mkdir(exist_ok=True)
    settings = "".join(f'  - {{name: SETTING_{number}, value: "0"}}\n' for number in range(_SETTINGS))
    (folder / "image.yaml").write_text(_IMAGE + settings, encoding="utf-8")
    command = (program, "--work-dir", str(folder / "work"), "build", "--dry-run", "docker", "--no-squash")
    return Contestant(name="cekit, one Dockerfile", command=command, cwd=folder)


def written(bench: Bench) -> int:
    """Return how many Dockerfiles with the expected settings it wrote; the exact text is cekit's own."""
    texts = [path.read_text(encoding="utf-8") for path in (bench.folder / "cekit/target").rglob("Dockerfile")]
    return sum(1 for text in texts if text.count('="0"') == _SETTINGS and _FIRST in text and _LAST in text)
