"""distgen renders one Dockerfile per process: the first Dockerfile of the catalog, from the same template."""

from __future__ import annotations

from tests.bench.catalog import PLATFORMS, TEMPLATE, digest_of
from tests.bench.measure import Contestant
from tests.bench.row import Bench

_NAMES = ("parent", "version", "java", "packages")


def contestant(bench: Bench) -> Contestant | None:
    """Return its command, run in its own folder; None if distgen is not available."""
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
    """Return 1 if its Dockerfile equals that of the bare loop except for empty lines, else 0."""
    texts = (bench.folder / "distgen/Dockerfile", bench.folder / "render/bare/family-0/0.0/Dockerfile_amd64")
    ours, theirs = (list(filter(None, path.read_text().splitlines())) for path in texts)
    return int(ours == theirs)
