"""distgen, which renders one Dockerfile a process: the same template, the first Dockerfile of the work."""

from __future__ import annotations

from tests.bench.catalog import PLATFORMS, TEMPLATE, digest_of
from tests.bench.measure import Contestant
from tests.bench.row import Bench

_NAMES = ("parent", "version", "java", "packages")


def contestant(bench: Bench) -> Contestant | None:
    """Its command, in a folder of its own; None where it could not be had."""
    program = bench.peers.find("dg")
    if program is None:
        return None
    folder = bench.folder / "distgen"
    folder.mkdir(exist_ok=True)
    own = "".join(f"{{% set {name} = spec.{name} %}}\n" for name in _NAMES)
    (folder / "Dockerfile.j2").write_text(own + TEMPLATE, encoding="utf-8")
    parent = f"--platform={PLATFORMS[0]} docker.io/library/java:0@{digest_of(0, PLATFORMS[0])}"
    spec = f'parent: "{parent}"\nversion: "0.0"\njava: 0\npackages: [curl, git]\n'
    (folder / "spec.yaml").write_text(spec, encoding="utf-8")
    words = ("--projectdir", ".", "--distro", "centos-7-x86_64.yaml", "--spec", "spec.yaml")
    command = (program, *words, "--template", "Dockerfile.j2", "--output", "Dockerfile")
    return Contestant(name="distgen, one Dockerfile", command=command, cwd=folder)


def written(bench: Bench) -> int:
    """How many Dockerfiles it wrote that are those of the bare loop, empty lines aside."""
    texts = (bench.folder / "distgen/Dockerfile", bench.folder / "render/bare/family-0/0.0/Dockerfile_amd64")
    ours, theirs = (list(filter(None, path.read_text().splitlines())) for path in texts)
    return int(ours == theirs)
