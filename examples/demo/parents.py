"""Stand-in parents: `parents.py REFERENCE...` makes what the upstream images are, from Debian's packages.

Each is published for linux/amd64 and linux/arm64 in the demo's registry, below the upstream registry's
host: docker.io/library/nginx:1.30 as 127.0.0.1:PORT/docker.io/library/nginx:1.30. One that is published
with an unchanged recipe is not made again. The registry of `engine.py up` must run; no engine is needed.
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
        found.add((config.get("architecture", ""), labels.get(RECIPE_LABEL, "")))
    return found


def is_published(port: int, wanted: StandIn) -> bool:
    """Whether the registry has this stand-in, with this recipe, for every architecture."""
    recipe = wanted.recipe()
    return {(arch, recipe) for arch in ARCHITECTURES} <= published_recipes(port, wanted.reference)


def make_roots(home: Home, wanted: StandIn) -> dict[str, Layer]:
    """The root file system for each architecture; both are made at the same time."""

    def make(arch: str) -> Layer:
        return make_rootfs(wanted.rootfs, make_apt(home, wanted.rootfs.suite, arch), home.parents)

    with ThreadPoolExecutor(len(ARCHITECTURES)) as pool:
        return dict(zip(ARCHITECTURES, pool.map(make, ARCHITECTURES), strict=True))


def write_files(wanted: StandIn, folder: Path) -> None:
    """Lays out the files that are laid over the root file system."""
    shutil.copytree(FILES / wanted.files, folder, symlinks=True, dirs_exist_ok=True)
    (folder / "etc").mkdir(exist_ok=True)
    (folder / "etc/dfgen-stand-in").write_text(f"{wanted.title}\n")
    # The modes do not follow from the umask of whoever cloned the repository.
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)


def publish(home: Home, port: int, wanted: StandIn, roots: Mapping[str, Layer]) -> None:
    """Pushes the stand-in for every architecture, and the index of them, into the registry."""
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
    """Makes and publishes the stand-ins that are not published yet."""
    os.umask(0o022)
    stand_ins = [choose(reference) for reference in references]
    state = load_state(home)
    if not is_running(state.processes.get("registry")):
        raise DemoError("the demo's registry does not run; run: python3 examples/demo/engine.py up")
    for wanted in stand_ins:
        target = f"127.0.0.1:{state.port}/{wanted.reference}"
        if is_published(state.port, wanted):
            say(f"stand-in {target} is there")
            continue
        with step(f"stand-in {target}, from Debian packages ({wanted.rootfs.suite})"):
            roots = make_roots(home, wanted)
            publish(home, state.port, wanted, roots)
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
