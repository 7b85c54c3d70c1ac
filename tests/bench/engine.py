"""The catalog of the rows that build: images on busybox, built by dfgen and by `docker buildx bake`."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from dfgen.engine.nodes import Nodes
from dfgen.engine.process import Processes
from dfgen.errors import ExternalError
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import OCI_MANIFEST
from dfgen.oci.platform import Platform
from tests.bench.catalog import PLATFORMS
from tests.bench.row import Bench
from tests.bench.serving import PROGRAM, Served
from tests.integration import busybox

_BAKED = "dist/bake"  # the output folder of the exported bake file


@dataclass(frozen=True)
class Work:
    """A locked and rendered catalog of one family, and its built images."""

    bench: Bench
    root: Path
    images: int

    def dfgen(self, *words: str) -> str:
        """Run dfgen and return its output."""
        command = self.bench.dfgen(self.root, *words)
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def bake(self, *words: str) -> tuple[str, ...]:
        """Return the bake command for the exported plan; run it in the catalog's folder."""
        return ("docker", "buildx", "bake", "--file", "bake.json", *words)

    @cached_property
    def targets(self) -> Sequence[str]:
        """Export the plan as bake.json and return the bake targets; none builds on another."""
        text = self.dfgen("plan", "--format", "bake")
        (self.root / "bake.json").write_text(text, encoding="utf-8")
        found: list[str] = json.loads(text)["group"]["wave-1"]["targets"]
        return found

    def delete_built(self) -> None:
        """Delete the images that dfgen built, but not those of bake."""
        for path in (self.root / "dist").glob("*"):
            if path != self.root / _BAKED:
                _delete(path)

    def delete_baked(self) -> None:
        """Delete the images that bake built."""
        _delete(self.root / _BAKED)

    def built(self) -> set[str]:
        """Return the digests of the images in the layout."""
        entries = Layout(self.root / "dist").entries().values()
        return {str(entry.digest) for entry in entries if entry.media_type == OCI_MANIFEST}

    def baked(self) -> set[str]:
        """Return the digests of the images that bake exported."""
        folders = (self.root / _BAKED).glob("*")
        return {str(entry.digest) for folder in folders for entry in Layout(folder).descriptors()}


def missing(bench: Bench) -> list[str]:
    """Return what a row that builds needs and this machine does not have."""
    from home import DemoError  # of examples/demo, which `busybox` adds to sys.path

    if programs := [name for name in ("docker", PROGRAM, "apt-get") if bench.peers.find(name) is None]:
        return programs
    if not platforms():
        return ["a Docker engine"]
    try:
        _busybox(bench.folder / "busybox")
    except DemoError as error:
        return [f"busybox of Debian ({error})"]
    return []


def platforms() -> list[str]:
    """Return the platforms of the catalog that the engine can run, natively or emulated."""
    nodes = Nodes({}, Processes())
    return [name for name in PLATFORMS if _runs(nodes, Platform.parse(name))]


def _runs(nodes: Nodes, platform: Platform) -> bool:
    try:
        return bool(nodes.check([platform]).usable)
    except ExternalError:
        return False


@cache
def _busybox(folder: Path) -> Mapping[str, bytes]:
    """Return busybox's root file systems by architecture, downloaded once for all rows."""
    return busybox.root_filesystems(folder)


def prepare(bench: Bench, served: Served, name: str, images: int, instructions: str) -> Work:
    """Write, lock and render a catalog with `images` images, split evenly over the platforms that run."""
    root = bench.folder / name / "catalog"
    parent = busybox.publish(served.address, "busybox", _busybox(bench.folder / "busybox"))
    run = platforms()
    versions = ", ".join(f'"{number}.0"' for number in range(images // len(run)))
    texts = {
        "templates/base.j2": f"FROM {{{{ parent }}}}\nENV VERSION={{{{ version }}}}\n{instructions}",
        "bases/catalog.yaml": f"registry: registry.example/team\nplatforms: [{', '.join(run)}]\n",
        "bases/base/base.yaml": f"template: base.j2\nparent: {parent.reference}\nversions: [{versions}]\n",
        "bases/base/start": "#!/bin/sh\nexec sh\n",
    }
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    work = Work(bench=bench, root=root, images=images)
    for word in ("lock", "render"):
        work.dfgen(word)
    return work


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
