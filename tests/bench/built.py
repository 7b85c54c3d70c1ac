"""A catalog with a filled layout: images of a given size, as a build leaves them, made without an engine.

Usage: built.py DIR VERSIONS BYTES. It runs as its own process to keep the memory of the benchmark small:
child processes are never reported with less memory than their parent had.
"""

from __future__ import annotations

import gzip
import random
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dfgen.catalog.lockfile import LOCK_FILE, Lock, LockedParent, Pin
from dfgen.catalog.model import Image
from dfgen.cli.app import App
from dfgen.commands import plan as planning
from dfgen.commands.merge import merge_layout
from dfgen.commands.plan.inputs import TESTS, digest_of_tests
from dfgen.commands.render import render
from dfgen.filetree import files
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import INPUTS, OCI_INDEX, Descriptor
from tests.bench.catalog import PLATFORMS
from tests.fakes.images import AMD64, ARM64, image

FAMILY = "base"
_PARENT = "registry.example/library/os:1"


def make(root: Path, versions: int, size: int) -> None:
    """Write and render the catalog, and fill its layout with images of one layer with `size` bytes."""
    listed = ", ".join(f'"{number}.0"' for number in range(versions))
    texts = {
        "templates/base.j2": "FROM {{ parent }}\n",
        "bases/catalog.yaml": f"registry: registry.example/team\nplatforms: [{', '.join(PLATFORMS)}]\n",
        f"bases/{FAMILY}/base.yaml": f"template: base.j2\nparent: {_PARENT}\nversions: [{listed}]\n",
        LOCK_FILE: _lock().to_text(),
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    app = App(root=root, output="table")
    for file in render(app.catalog, app.catalog.images, app.lock, app.templates_for, {}).differing:
        files.write(root / file.path, file.new or "")
    _build(app, size)


def tags(root: Path) -> Mapping[str, Descriptor]:
    """Return the entries of the layout by name (`base:1.0-x86_64`): images first, then merged versions."""
    found = App(root=root, output="table").layout.entries()
    return dict(sorted(found.items(), key=lambda pair: (pair[1].media_type == OCI_INDEX, pair[0])))


def _lock() -> Lock:
    pins = {one: Pin(Digest.of(str(one).encode()), 500) for one in (AMD64, ARM64)}
    parent = LockedParent(
        digest=Digest.of(b"index"), media_type=OCI_INDEX, first_seen="2026-01-01", platforms=pins
    )
    return Lock({_PARENT: parent})


def _build(app: App, size: int) -> None:
    how = app.planning
    entries: dict[str, Descriptor | None] = {}
    versions: dict[str, list[Image]] = {}
    for one in app.catalog.images:
        inputs = planning.plan_image(one, app.lock, how).inputs
        recorded = {INPUTS: str(inputs.digest)} if inputs else {}
        # Gzip without compression: random bytes do not compress.
        layer = gzip.compress(random.Random(one.name).randbytes(size), compresslevel=0, mtime=0)
        made = image(one.platform, (layer,), annotations=recorded).put_into(app.layout)
        tested = {**recorded, TESTS: str(digest_of_tests(one))}
        entries[f"{one.family.name}:{one.tag}"] = replace(made, annotations=tested)
        versions.setdefault(one.merged_name, []).append(one)
    app.layout.tag(entries)
    merge_layout(app.layout, app.lock, versions)


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
