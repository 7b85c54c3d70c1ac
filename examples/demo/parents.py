"""Stand-in parents: `parents.py REFERENCE...` replaces upstream images with images of Debian packages.

Each stand-in is published for linux/amd64 and linux/arm64 in the demo's registry, below the name of the
upstream registry: docker.io/library/nginx:1.30 as 127.0.0.1:PORT/docker.io/library/nginx:1.30. A stand-in
that is already published with the same recipe is not made again. The registry of `engine.py up` must be
running; no engine is needed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import registry
from engine import ARCHITECTURES
from home import DemoError, Home, find_home, load_state, locked, run_main, say, step
from images import Layer, pack, push_image, push_index
from machine import make_apt
from processes import is_running
from rootfs import make_rootfs
from standins import FILES, RECIPE_LABEL, StandIn, choose, split_reference


def published_recipes(port: int, reference: str) -> set[tuple[str, str]]:
    """Return architecture and recipe of each image published for an upstream reference."""
    host, repository, tag = split_reference(reference)
    base = f"/v2/{host}/{repository}"
    index = registry.get(port, f"{base}/manifests/{tag}") or {}
    found = set()
    for child in index.get("manifests", []):
        manifest = registry.get(port, f"{base}/manifests/{child['digest']}") or {}
        blob = f"{base}/blobs/{manifest.get('config', {}).get('digest')}"
        config = registry.get(port, blob) or {}
        labels = config.get("config", {}).get("Labels") or {}
        found.add((config.get("architecture", ""), labels.get(RECIPE_LABEL, "")))
    return found


def is_published(port: int, wanted: StandIn) -> bool:
    """Return whether the registry has this stand-in with this recipe for every architecture."""
    recipe = wanted.recipe()
    return {(arch, recipe) for arch in ARCHITECTURES} <= published_recipes(port, wanted.reference)


def make_roots(home: Home, wanted: StandIn) -> dict[str, Layer]:
    """Make the root file systems of all architectures concurrently."""

    def make(arch: str) -> Layer:
        return make_rootfs(wanted.rootfs, make_apt(home, wanted.rootfs.suite, arch), home.parents)

    with ThreadPoolExecutor(len(ARCHITECTURES)) as pool:
        return dict(zip(ARCHITECTURES, pool.map(make, ARCHITECTURES), strict=True))


def write_files(wanted: StandIn, folder: Path) -> None:
    """Write the files of the layer on top of the root file system."""
    shutil.copytree(FILES / wanted.files, folder, symlinks=True, dirs_exist_ok=True)
    (folder / "etc").mkdir(exist_ok=True)
    (folder / "etc/dfgen-stand-in").write_text(f"{wanted.title}\n")
    # The modes must not depend on the umask of `git clone`: they are part of the layer's digest.
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)


def publish(home: Home, port: int, wanted: StandIn, roots: Mapping[str, Layer]) -> None:
    """Push the stand-in of every architecture, then the index that lists them."""
    host, repository, tag = split_reference(wanted.reference)
    target = f"{host}/{repository}"
    with tempfile.TemporaryDirectory(dir=home.parents, prefix="files-") as name:
        folder = Path(name)
        write_files(wanted, folder / "files")
        files = pack(folder / "files", folder / "files.tar.gz")
        children = [
            push_image(port, target, arch, (root, files), wanted.config()) for arch, root in roots.items()
        ]
    push_index(port, target, tag, children)


def make_parents(home: Home, references: Sequence[str]) -> None:
    """Make and publish the stand-ins that are not published yet."""
    os.umask(0o022)
    stand_ins = [choose(reference) for reference in references]
    state = load_state(home)
    if not is_running(state.processes.get("registry")):
        raise DemoError("the demo's registry is not running; run: python3 examples/demo/engine.py up")
    for wanted in stand_ins:
        target = f"127.0.0.1:{state.port}/{wanted.reference}"
        if is_published(state.port, wanted):
            say(f"stand-in {target}: already published")
            continue
        with step(f"stand-in {target}, from Debian packages ({wanted.rootfs.suite})"):
            roots = make_roots(home, wanted)
            publish(home, state.port, wanted, roots)
    say("stand-ins are made from Debian packages; they are not the upstream images")


def main(arguments: Sequence[str]) -> int:
    """Parse the command line and make the stand-ins."""
    parser = argparse.ArgumentParser(prog="parents.py", description=__doc__.split("\n")[0])
    parser.add_argument(
        "reference", nargs="+", help="upstream image, for example docker.io/library/nginx:1.30"
    )
    home = find_home()
    wanted = parser.parse_args(arguments).reference
    with locked(home):
        make_parents(home, wanted)
    return 0


if __name__ == "__main__":
    run_main(main)
