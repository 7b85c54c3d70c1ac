"""Write small catalogs to disk and load them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from dfgen.catalog import load
from dfgen.catalog.lockfile import Lock, LockedParent, Pin
from dfgen.catalog.model import Catalog, Image
from dfgen.errors import InputError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import OCI_INDEX
from dfgen.templating import Templates

# A valid family; tests add only the settings that matter to them.
FAMILY = """\
template: t.j2
parent: docker.io/library/busybox:1.36
versions: ["1.0"]
"""


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Write files below a root, and the template `t.j2` unless they contain it."""
    for name, text in {"templates/t.j2": "FROM {{ parent }}\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def loaded(root: Path, base: str = "", catalog: str = "", **files: str) -> Catalog:
    """Write and load a catalog with the family `app`, and others by keyword: `lib` is bases/lib/base.yaml."""
    found = {f"bases/{name}/base.yaml": text for name, text in files.items() if "/" not in name}
    found |= {name: text for name, text in files.items() if "/" in name}
    if base:
        found["bases/app/base.yaml"] = base
    if catalog:
        found["bases/catalog.yaml"] = catalog
    write(root, found)
    return load.load(root, Templates(root / "templates", "templates"))


def images(root: Path, base: str, catalog: str = "", **files: str) -> dict[str, Image]:
    """Write and load a catalog; return its images by name: `app:1.0@amd64`."""
    return {image.name: image for image in loaded(root, base, catalog, **files).images}


def problems(root: Path, base: str = "", catalog: str = "", **files: str) -> list[str]:
    """Write and load an invalid catalog; return the lines of the error."""
    with pytest.raises(InputError) as caught:
        loaded(root, base, catalog, **files)
    return str(caught.value).splitlines()


def locked(catalog: Catalog, *without: str) -> Lock:
    """Pin every parent of a catalog to a digest derived from its name."""
    uses = {(parent.key, parent.platform) for image in catalog.images for parent in image.all_parents}
    return Lock(
        {
            key: LockedParent(
                digest=Digest.of(key.encode()),
                media_type=OCI_INDEX,
                first_seen="2026-01-31",
                platforms={
                    platform: Pin(Digest.of(f"{key} {platform}".encode()))
                    for used, platform in uses
                    if used == key
                },
            )
            for key, _ in uses
            if key not in without
        }
    )
