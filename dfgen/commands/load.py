"""Load: images of the layout into the local engine, for a person to try them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dfgen.catalog.model import Catalog, Image
from dfgen.engine.containers import Engine
from dfgen.errors import CheckError, Problem
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Descriptor, Index
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """An image or a version, and the tag that it gets in the engine; a version has no `platform`."""

    reference: Reference
    entry: Descriptor
    platform: Platform | None

    @property
    def digest(self) -> Digest:
        """Its digest, the same in the engine as in the layout where that keeps images as they are."""
        return self.entry.digest

    @property
    def run(self) -> str:
        """The command that tries it."""
        platform = ["--platform", str(self.platform)] if self.platform else []
        return shlex.join(["docker", "run", "--rm", "-it", *platform, str(self.reference)])


def plan(images: Sequence[Image], catalog: Catalog, store: Layout, *, indexes: bool) -> tuple[Loading, ...]:
    """Find images in the layout, and with `indexes` the versions that are selected whole.

    Errors: CheckError with every image that is not there or is damaged.
    """
    entries = store.entries()
    problems = [problem for image in images for problem in _lacking(image, store, entries)]
    if problems:
        raise CheckError(problems)
    found = [_image(image, catalog, entries) for image in images]
    versions = dict.fromkeys(image.merged_name for image in images) if indexes else {}
    whole = (_version(name, images, catalog, store) for name in versions)
    return (*found, *(one for one in whole if one))


def load(loadings: Sequence[Loading], engine: Engine) -> None:
    """Load them, one after another."""
    for one in loadings:
        engine.load(one.entry, str(one.reference))


def _image(image: Image, catalog: Catalog, entries: Mapping[str, Descriptor]) -> Loading:
    reference = catalog.reference(image.family.name, image.tag)
    entry = entries[f"{image.family.name}:{image.tag}"]
    return Loading(reference=reference, entry=entry, platform=image.platform)


def _version(name: str, images: Sequence[Image], catalog: Catalog, store: Layout) -> Loading | None:
    """Find the index of a version, where it binds just the images that are loaded."""
    entries = store.entries()
    chosen = [image for image in images if image.merged_name == name]
    entry = entries.get(name)
    if entry is None or len(chosen) != len(catalog.versions[name]):
        return None
    index = store.manifest(entry)
    bound = {one.digest for one in index.images} if isinstance(index, Index) else set()
    if bound != {entries[f"{image.family.name}:{image.tag}"].digest for image in chosen}:
        return None
    reference = catalog.reference(chosen[0].family.name, chosen[0].version)
    return Loading(reference=reference, entry=entry, platform=None)


def _lacking(image: Image, store: Layout, entries: Mapping[str, Descriptor]) -> Iterator[Problem]:
    name = f"{image.family.name}:{image.tag}"
    advice = f"run `dfgen build {image.name}`"
    if name not in entries:
        yield Problem(None, f"{name}: is not in the layout; {advice}")
    elif not store.is_intact(entries[name]):
        yield Problem(None, f"{name}: a part of it is missing or damaged in the layout; {advice}")
