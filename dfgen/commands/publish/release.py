"""A version as it lies in the layout, and what publishing it does to the tags of a registry."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dfgen.catalog.model import Image
from dfgen.errors import CheckError, listing
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Descriptor, Index, Manifest
from dfgen.oci.reference import Reference, Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A version, whole: its index, the manifest of each of its images, and their attestations."""

    name: str
    index: Index
    images: Mapping[Image, Manifest]
    attestations: tuple[Manifest, ...]

    @property
    def immutable(self) -> bool:
        """Whether a tag of this version never moves."""
        return any(image.immutable for image in self.images)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag, the digest that it will have, and the one that it has now, None where it is not there."""

    reference: Reference
    digest: Digest
    now: Digest | None

    @property
    def state(self) -> str:
        """`new`, `unchanged` or `moves`."""
        if self.now is None:
            return "new"
        return "unchanged" if self.now == self.digest else "moves"

    @property
    def changes(self) -> bool:
        """Whether it has to be written."""
        return self.now != self.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What publishing a version to one registry will do.

    `images` has the tag of each architecture and `missing` the manifests that the registry does not have.
    `refusals` says why it must not be done.
    """

    bundle: Bundle
    registry: str
    images: Mapping[Image, Tag]
    merged: Tag
    missing: tuple[Manifest, ...]
    refusals: tuple[str, ...]

    @property
    def repository(self) -> Repository:
        """Where the version goes."""
        return self.merged.reference.repository

    @property
    def tags(self) -> tuple[Tag, ...]:
        """All tags in the order in which they are written."""
        return (*self.images.values(), self.merged)

    @property
    def changes(self) -> bool:
        """Whether anything has to be written."""
        return bool(self.missing) or any(tag.changes for tag in self.tags)


def bundle_of(name: str, images: Sequence[Image], store: Layout, entries: Mapping[str, Descriptor]) -> Bundle:
    """Read a version from the layout. Errors: CheckError for one that is not whole there."""
    entry = entries.get(name)
    if entry is None:
        raise _refused(name, "it is not merged in the layout")
    if not store.is_intact(entry):
        raise _refused(name, "a part of it is missing or damaged in the layout")
    index = store.manifest(entry)
    if not isinstance(index, Index):
        raise _refused(name, "it is a single image in the layout, expected an index")
    _check_children(name, images, index, entries)
    manifests = {child.digest: store.manifest(child) for child in index.manifests}
    return Bundle(
        name=name,
        index=index,
        images={image: _manifest(name, manifests[_child(index, image).digest]) for image in images},
        attestations=tuple(
            _manifest(name, manifests[child.digest]) for child in index.manifests if child.is_attestation
        ),
    )


def outdated(bundle: Bundle, stale: Mapping[str, str]) -> str | None:
    """Say that a version is not what the catalog says any more; `stale` has the reason by image."""
    moved = [f"{image.name}: {stale[image.name]}" for image in bundle.images if image.name in stale]
    if not moved:
        return None
    why = f"the catalog has moved on since it was built ({'; '.join(moved)})"
    as_built = "or publish what was built with --as-built"
    return f"{bundle.name}: not published: {why}; run `dfgen build {bundle.name}`, {as_built}"


def refusal(tag: Tag, immutable: bool, seen: Collection[Digest], force: bool) -> str | None:
    """Say why a tag must not be moved; `seen` are the digests that dfgen knows it by."""
    if tag.state != "moves" or (not immutable and (force or tag.now in seen)):
        return None
    has = f"{tag.reference}: not overwritten with {tag.digest}: it has {tag.now}"
    if immutable:
        return f"{has} and its version is immutable; publish under a new version"
    known = f", dfgen last saw {listing(sorted(map(str, seen)))}" if seen else ", which dfgen has not seen"
    return f"{has}{known}; look at it with `dfgen inspect`, and use --force to replace it"


def _check_children(
    name: str, images: Sequence[Image], index: Index, entries: Mapping[str, Descriptor]
) -> None:
    bound = {child.platform: child.digest for child in index.images}
    wanted = {image.platform for image in images}
    if set(bound) != wanted:
        has, expected = (listing(map(str, sorted(found))) for found in (filter(None, bound), wanted))
        raise _refused(name, f"its index binds {has}, expected {expected}")
    for image in images:
        child = f"{image.family.name}:{image.tag}"
        entry = entries.get(child)
        if entry is None or entry.digest != bound[image.platform]:
            raise _refused(name, f"its index does not bind {child} as it was built last")


def _child(index: Index, image: Image) -> Descriptor:
    return next(child for child in index.images if child.platform == image.platform)


def _manifest(name: str, found: Manifest | Index) -> Manifest:
    if isinstance(found, Index):
        raise _refused(name, "its index binds another index, expected image manifests")
    return found


def _refused(name: str, why: str) -> CheckError:
    return CheckError(f"{name}: not published: {why}; run `dfgen build {name}`")
