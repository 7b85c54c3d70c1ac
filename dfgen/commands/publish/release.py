"""A version as it is in the layout, and what publishing it to one registry changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dfgen.catalog.model import Image
from dfgen.errors import CheckError, listing
from dfgen.oci.digest import Digest
from dfgen.oci.images import mislabelled
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Descriptor, Index, Manifest
from dfgen.oci.reference import Reference, Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A complete version: its index, the manifests of its images, and their attestations."""

    name: str
    index: Index
    images: Mapping[Image, Manifest]
    attestations: tuple[Manifest, ...]

    @property
    def immutable(self) -> bool:
        """Whether published tags of this version must never move."""
        return any(image.immutable for image in self.images)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag with the digest that it will get; `current` is its digest now, or None if it does not exist."""

    reference: Reference
    digest: Digest
    current: Digest | None

    @property
    def state(self) -> str:
        """`new`, `unchanged` or `moves`."""
        if self.current is None:
            return "new"
        return "unchanged" if self.current == self.digest else "moves"

    @property
    def changes(self) -> bool:
        """Whether it has to be written."""
        return self.current != self.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The plan for publishing a version to one registry.

    `images` has the tag of each architecture, `missing` the manifests that the registry does not have, or
    not with all blobs, and `refusals` the reasons why it must not be published.
    """

    bundle: Bundle
    registry: str
    images: Mapping[Image, Tag]
    merged: Tag
    missing: tuple[Manifest, ...]
    refusals: tuple[str, ...]

    @property
    def repository(self) -> Repository:
        """The target repository."""
        return self.merged.reference.repository

    @property
    def tags(self) -> tuple[Tag, ...]:
        """All tags, in the order in which they are written."""
        return (*self.images.values(), self.merged)

    @property
    def is_repaired(self) -> bool:
        """Whether the tags are unchanged, but the registry has lost a part of what they refer to."""
        return bool(self.missing) and not any(tag.changes for tag in self.tags)

    @property
    def changes(self) -> bool:
        """Whether anything has to be written."""
        return bool(self.missing) or any(tag.changes for tag in self.tags)


def read_bundle(
    name: str, images: Sequence[Image], store: Layout, entries: Mapping[str, Descriptor]
) -> Bundle:
    """Read a version from the layout. Raises CheckError if it is incomplete, damaged or not merged."""
    entry = entries.get(name)
    if entry is None:
        raise _refused(name, "it is not merged in the layout")
    if not store.is_intact(entry):
        raise _refused(name, "a part of it is missing or damaged in the layout")
    index = store.manifest(entry)
    if not isinstance(index, Index):
        raise _refused(name, "it is a single image in the layout, expected an index")
    _check_children(name, images, index, entries, store)
    manifests = {child.digest: store.manifest(child) for child in index.manifests}
    return Bundle(
        name=name,
        index=index,
        images={image: _manifest(name, manifests[_child(index, image).digest]) for image in images},
        attestations=tuple(
            _manifest(name, manifests[child.digest]) for child in index.manifests if child.is_attestation
        ),
    )


def _check_children(
    name: str, images: Sequence[Image], index: Index, entries: Mapping[str, Descriptor], store: Layout
) -> None:
    found = {child.platform: child.digest for child in index.images}
    expected = {image.platform for image in images}
    if set(found) != expected:
        texts = (listing(map(str, sorted(platforms))) for platforms in (filter(None, found), expected))
        raise _refused(name, "its index contains {}, expected {}".format(*texts))
    for image in images:
        entry = entries.get(image.layout_name)
        if entry is None or entry.digest != found[image.platform]:
            raise _refused(name, f"its index does not contain the latest build of {image.layout_name}")
        if wrong := mislabelled(entry, image.platform, store):
            raise _refused(name, f"{image.layout_name} is another image in the layout: {wrong}")


def _child(index: Index, image: Image) -> Descriptor:
    return next(child for child in index.images if child.platform == image.platform)


def _manifest(name: str, found: Manifest | Index) -> Manifest:
    if isinstance(found, Index):
        raise _refused(name, "its index contains another index, expected image manifests")
    return found


def _refused(name: str, why: str) -> CheckError:
    return CheckError(f"{name}: not published: {why}; run `dfgen build {name}`")


def stale_refusal(bundle: Bundle, stale: Mapping[str, str]) -> str | None:
    """Return why a version must not be published if it no longer matches the catalog, else None.

    `stale` has the reason by image name.
    """
    reasons = [f"{image.name}: {stale[image.name]}" for image in bundle.images if image.name in stale]
    if not reasons:
        return None
    why = f"it was built from an older state of the catalog ({'; '.join(reasons)})"
    fix = f"run `dfgen build {bundle.name}`, or publish it unchanged with --as-built"
    return f"{bundle.name}: not published: {why}; {fix}"


def overwrite_refusal(tag: Tag, immutable: bool, own: Collection[Digest], force: bool) -> str | None:
    """Return why a tag must not be overwritten, else None; `own` are its digests that dfgen published."""
    if tag.state != "moves" or (not immutable and (force or tag.current in own)):
        return None
    start = f"{tag.reference}: not overwritten with {tag.digest}: it has {tag.current}"
    if immutable:
        return f"{start} and its version is immutable; publish under a new version"
    seen = f"but dfgen last saw {listing(sorted(map(str, own)))}" if own else "which dfgen did not publish"
    fix = f"check it with `dfgen inspect {tag.reference}`, and use --force to overwrite it"
    return f"{start}, {seen}; {fix}"
