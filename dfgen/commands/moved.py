"""The effects of a change of the lock: moved pins, images to rebuild, sizes and dates of the parents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from dfgen.catalog.lockfile import LockedParent
from dfgen.catalog.model import Catalog
from dfgen.concurrent import attempt
from dfgen.errors import DfgenError
from dfgen.oci.digest import Digest
from dfgen.oci.images import Puller, is_older, parse_created
from dfgen.oci.manifest import Manifest
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference, Repository
from dfgen.untrusted import read_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A parent whose pins changed; `old` is None if it had no pins."""

    key: str
    old: LockedParent | None
    new: LockedParent


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """The size of an image's compressed layers in bytes, and the time it was created.

    None if unknown: the image no longer exists, or its configuration has no valid date.
    """

    size: int | None = None
    created: datetime | None = None

    @property
    def day(self) -> str:
        """The date of creation, YYYY-MM-DD; "" if unknown."""
        return f"{self.created:%Y-%m-%d}" if self.created else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PinChange:
    """A pin that changed, for one platform; `old` is None if it is new.

    `rebuilds` are the names of the images that have to be rebuilt. `facts` are those of the old and the new
    image, if they were read.
    """

    key: str
    platform: Platform
    old: Digest | None
    new: Digest
    rebuilds: tuple[str, ...]
    facts: tuple[ImageFacts, ImageFacts] | None = None


def pin_changes(catalog: Catalog, moved: Sequence[Moved]) -> list[PinChange]:
    """List the pins that moved or are new, with the images that are built on them."""
    users: dict[tuple[str, Platform], dict[str, None]] = {}
    for image in catalog.images:
        for parent in image.all_parents:
            users.setdefault((parent.key, parent.platform), {})[image.name] = None
    found: list[PinChange] = []
    for one in moved:
        before = one.old.platforms if one.old else {}
        for platform, pin in one.new.platforms.items():
            old = before.get(platform)
            if old != pin:
                change = PinChange(
                    key=one.key,
                    platform=platform,
                    old=old.digest if old else None,
                    new=pin.digest,
                    rebuilds=tuple(users.get((one.key, platform), ())),
                )
                found.append(change)
    return found


def with_facts(catalog: Catalog, changes: Sequence[PinChange], registry: Puller) -> list[PinChange]:
    """Add the facts of the images to the upstream pins that moved; new pins cost no request.

    Costs two GETs per image. Never raises: what cannot be read is unknown.
    """
    upstream = {one.key: catalog.mirrored(one.reference).repository for one in catalog.upstream_parents()}
    images = dict.fromkeys(
        (upstream[change.key], digest)
        for change in changes
        if change.old and change.key in upstream
        for digest in (change.old, change.new)
    )
    results = attempt(lambda image: read_facts(*image, registry), images)
    facts = {
        image: ImageFacts() if isinstance(result, DfgenError) else result
        for image, result in zip(images, results, strict=True)
    }

    def add_facts(change: PinChange) -> PinChange:
        if not change.old or change.key not in upstream:
            return change
        repository = upstream[change.key]
        return replace(change, facts=(facts[repository, change.old], facts[repository, change.new]))

    return [add_facts(change) for change in changes]


def read_facts(repository: Repository, digest: Digest, registry: Puller) -> ImageFacts:
    """Read the facts of an image with two GETs."""
    manifest = registry.manifest(Reference(repository, digest=digest))
    if not isinstance(manifest, Manifest):
        return ImageFacts()
    try:
        created = parse_created(read_json(registry.blob(repository, manifest.config))["created"])
    except (DfgenError, ValueError, LookupError, TypeError):
        created = None
    return ImageFacts(size=sum(layer.size for layer in manifest.layers), created=created)


def older_pins(changes: Iterable[PinChange]) -> Iterator[str]:
    """Yield a note for each pin that moved to an image that was created before the old one."""
    for change in changes:
        old, new = change.facts or (ImageFacts(), ImageFacts())
        if old.created and new.created and is_older(new.created, old.created):
            days = f"{old.day} → {new.day}"
            where = f"{change.key}: {change.platform}"
            yield f"{where} goes back in time: created {days}; check why before you use it"
