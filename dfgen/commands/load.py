"""Load: copy images from the layout into the local engine, to run them there."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dfgen.catalog.model import Catalog, Image
from dfgen.engine.containers import Engine
from dfgen.errors import CheckError, Problem
from dfgen.oci.digest import Digest
from dfgen.oci.images import mislabelled
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Descriptor, Index
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """An image or merged version, and its tag in the engine; `platform` is None for a version."""

    reference: Reference
    entry: Descriptor
    platform: Platform | None

    @property
    def digest(self) -> Digest:
        """Its digest; an engine with the containerd image store has the same one."""
        return self.entry.digest

    @property
    def run(self) -> str:
        """The command that runs it."""
        platform = ["--platform", str(self.platform)] if self.platform else []
        return shlex.join(["docker", "run", "--rm", "-it", *platform, str(self.reference)])


def check(images: Sequence[Image], store: Layout) -> None:
    """Raise CheckError with every image that is missing from the layout or damaged."""
    entries = store.entries()
    problems = [problem for image in images for problem in _problems(image, store, entries)]
    if problems:
        raise CheckError(problems)


def plan(images: Sequence[Image], catalog: Catalog, store: Layout, *, indexes: bool) -> tuple[Loading, ...]:
    """Find images in the layout and, with `indexes`, the merged versions of which all images are selected.

    Raises CheckError as `check` does. An engine without the containerd image store cannot load an index.
    """
    check(images, store)
    entries = store.entries()
    found = [_image(image, catalog, entries) for image in images]
    names = dict.fromkeys(image.merged_name for image in images) if indexes else {}
    versions = (_version(name, images, catalog, store) for name in names)
    return (*found, *(one for one in versions if one))


def load(loadings: Sequence[Loading], engine: Engine) -> None:
    """Load images into the engine, one after another."""
    for one in loadings:
        engine.load(one.entry, str(one.reference))


def _image(image: Image, catalog: Catalog, entries: Mapping[str, Descriptor]) -> Loading:
    reference = catalog.reference(image.family.name, image.tag)
    entry = entries[image.layout_name]
    return Loading(reference=reference, entry=entry, platform=image.platform)


def _version(name: str, images: Sequence[Image], catalog: Catalog, store: Layout) -> Loading | None:
    """The merged index of a version; None unless it has exactly the images that are loaded."""
    entries = store.entries()
    chosen = [image for image in images if image.merged_name == name]
    entry = entries.get(name)
    if entry is None or len(chosen) != len(catalog.versions[name]):
        return None
    index = store.manifest(entry)
    merged = {one.digest for one in index.images} if isinstance(index, Index) else set()
    if merged != {entries[image.layout_name].digest for image in chosen}:
        return None
    reference = catalog.reference(chosen[0].family.name, chosen[0].version)
    return Loading(reference=reference, entry=entry, platform=None)


def _problems(image: Image, store: Layout, entries: Mapping[str, Descriptor]) -> Iterator[Problem]:
    name = image.layout_name
    advice = f"run `dfgen build {image.name}`"
    if name not in entries:
        yield Problem(None, f"{name}: is not in the layout; {advice}")
    elif not store.is_intact(entries[name]):
        yield Problem(None, f"{name}: is incomplete or damaged in the layout; {advice}")
    elif wrong := mislabelled(entries[name], image.platform, store):
        yield Problem(None, f"{name}: is another image in the layout: {wrong}; {advice}")
