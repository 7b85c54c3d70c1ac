"""Stand-in parents: `parents.py REFERENCE...` makes what the upstream images are, from Debian's packages.

Each is published for linux/amd64 and linux/arm64 in the demo's registry, below the upstream registry's
host: docker.io/library/nginx:1.30 as 127.0.0.1:PORT/docker.io/library/nginx:1.30. One that is published
with an unchanged recipe is not made again. The engine of `engine.py up` must run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import registry
from engine import ARCHITECTURES, engine_variables
from home import DemoError, Home, State, find_home, load_state, locked, run_main, say, step
from machine import make_apt
from processes import is_running
from rootfs import FILE_TIME, make_rootfs
from standins import FILES, StandIn, choose, split_reference


def published_recipes(port: int, reference: str) -> set[tuple[str, str]]:
    """The architectures and recipes of what is published for an upstream reference; empty for nothing."""
    host, repository, tag = split_reference(reference)
    base = f"/v2/{host}/{repository}"
    index = registry.get(port, f"{base}/manifests/{tag}") or {}
    found = set()
    for child in index.get("manifests", []):
        manifest = registry.get(port, f"{base}/manifests/{child['digest']}") or {}
        blob = f"{base}/blobs/{manifest.get('config', {}).get('digest')}"
        config = registry.get(port, blob) or {}
        labels = config.get("config", {}).get("Labels") or {}
        found.add((config.get("architecture", ""), labels.get("dfgen.stand-in.recipe", "")))
    return found


def is_published(port: int, wanted: StandIn) -> bool:
    """Whether the registry has this stand-in, with this recipe, for every architecture."""
    recipe = wanted.recipe()
    return {(arch, recipe) for arch in ARCHITECTURES} <= published_recipes(port, wanted.reference)


def make_roots(home: Home, wanted: StandIn) -> dict[str, Path]:
    """The root file system's tar file for each architecture; both are made at the same time."""

    def make(arch: str) -> Path:
        return make_rootfs(wanted.rootfs, make_apt(home, wanted.rootfs.suite, arch), home.parents)

    with ThreadPoolExecutor(len(ARCHITECTURES)) as pool:
        return dict(zip(ARCHITECTURES, pool.map(make, ARCHITECTURES), strict=True))


def write_context(wanted: StandIn, roots: dict[str, Path], folder: Path) -> None:
    """Lays out the build context: Dockerfile, one tar file per architecture, the files laid over it."""
    for arch, path in roots.items():
        os.link(path, folder / f"{arch}.tar")
    (folder / "Dockerfile").write_text(wanted.dockerfile())
    files = folder / "files"
    shutil.copytree(FILES / wanted.files, files, symlinks=True)
    (files / "etc").mkdir(exist_ok=True)
    (files / "etc/dfgen-stand-in").write_text(f"{wanted.title}\n")
    for path in (files, *files.rglob("*")):
        os.utime(path, (FILE_TIME, FILE_TIME), follow_symlinks=False)


def publish(home: Home, state: State, wanted: StandIn, roots: dict[str, Path]) -> None:
    """Builds the stand-in for every architecture and pushes it into the registry."""
    platforms = ",".join(f"linux/{arch}" for arch in ARCHITECTURES)
    with tempfile.TemporaryDirectory(dir=home.parents, prefix="context-") as name:
        write_context(wanted, roots, Path(name))
        target = f"127.0.0.1:{state.port}/{wanted.reference}"
        command = ["docker", "buildx", "build", "--platform", platforms, "--provenance=false"]
        command += ["--output", f"type=image,name={target},push=true,oci-mediatypes=true", name]
        # With the times of all files fixed too, the same packages give the same digests.
        fixed = {"SOURCE_DATE_EPOCH": str(FILE_TIME)}
        environ = {**os.environ, **engine_variables(home, state), **fixed}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = " | ".join(done.stderr.strip().splitlines()[-3:])
        raise DemoError(f"{wanted.reference}: docker buildx build failed: {lines}")


def make_parents(home: Home, references: Sequence[str]) -> None:
    """Makes and publishes the stand-ins that are not published yet."""
    stand_ins = [choose(reference) for reference in references]
    state = load_state(home)
    if not is_running(state.processes.get("registry")):
        raise DemoError("the demo's registry does not run; run: python3 examples/demo/engine.py up")
    for wanted in stand_ins:
        target = f"127.0.0.1:{state.port}/{wanted.reference}"
        if is_published(state.port, wanted):
            say(f"stand-in {target} is there")
            continue
        with step(f"root file systems {wanted.rootfs.key()} for {' and '.join(ARCHITECTURES)}"):
            roots = make_roots(home, wanted)
        with step(f"stand-in {target}, made from Debian packages ({wanted.rootfs.suite})"):
            publish(home, state, wanted, roots)
    say("stand-ins are made from Debian packages; they are not the upstream images")


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="parents.py", description=__doc__.split("\n")[0])
    parser.add_argument("reference", nargs="+", help="upstream image, such as docker.io/library/nginx:1.30")
    home = find_home()
    wanted = parser.parse_args(arguments).reference
    with locked(home):
        make_parents(home, wanted)
    return 0


if __name__ == "__main__":
    run_main(main)
