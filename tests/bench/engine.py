"""The work of the rows that build: a catalog on busybox from a registry, and its images as bake builds them."""

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

_BAKED = "dist/bake"  # where the exported bake file puts images


@dataclass(frozen=True)
class Work:
    """A catalog of one family that is locked and rendered, and what was built of it."""

    bench: Bench
    root: Path
    images: int

    def dfgen(self, *words: str) -> str:
        """Run dfgen and give what it printed."""
        command = self.bench.dfgen(self.root, *words)
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def bake(self, *words: str) -> tuple[str, ...]:
        """The command line of bake for the exported plan, to be run in the catalog's folder."""
        return ("docker", "buildx", "bake", "--file", "bake.json", *words)

    @cached_property
    def targets(self) -> Sequence[str]:
        """Export the plan as bake's file; gives its targets, of which none is built on another."""
        text = self.dfgen("plan", "--format", "bake")
        (self.root / "bake.json").write_text(text, encoding="utf-8")
        found: list[str] = json.loads(text)["group"]["wave-1"]["targets"]
        return found

    def forget_built(self) -> None:
        """Delete what dfgen built, and keep what bake did."""
        for path in (self.root / "dist").glob("*"):
            if path != self.root / _BAKED:
                _delete(path)

    def forget_baked(self) -> None:
        """Delete what bake built."""
        _delete(self.root / _BAKED)

    def built(self) -> set[str]:
        """The digests of the images in the layout."""
        entries = Layout(self.root / "dist").entries().values()
        return {str(entry.digest) for entry in entries if entry.media_type == OCI_MANIFEST}

    def baked(self) -> set[str]:
        """The digests of the images that bake exported."""
        folders = (self.root / _BAKED).glob("*")
        return {str(entry.digest) for folder in folders for entry in Layout(folder).descriptors()}


def missing(bench: Bench) -> list[str]:
    """What a row that builds lacks on this machine."""
    from home import DemoError  # the demo's own, which `busybox` makes known

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
    """Those of the two platforms that the engine runs, emulated or not."""
    nodes = Nodes({}, Processes())
    return [name for name in PLATFORMS if _runs(nodes, Platform.parse(name))]


def _runs(nodes: Nodes, platform: Platform) -> bool:
    try:
        return bool(nodes.check([platform]).usable)
    except ExternalError:
        return False


@cache
def _busybox(folder: Path) -> Mapping[str, bytes]:
    """Fetch Debian's packages once for all rows."""
    return busybox.root_filesystems(folder)


def prepare(bench: Bench, served: Served, name: str, images: int, instructions: str) -> Work:
    """Write a catalog of so many images, half of each architecture where both run, and lock and render it."""
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
