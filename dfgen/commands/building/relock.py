"""Pins of the catalog's own families: find moved digests, and Dockerfiles with outdated pins."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from dfgen.catalog.lockfile import LOCK_FILE, Lock, LockedParent, Pin
from dfgen.catalog.model import Catalog, Image
from dfgen.errors import Problem
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import Descriptor
from dfgen.oci.platform import Platform


def has_outdated_pins(
    image: Image, old: str | None, lock: Lock, render: Callable[[Image, Lock], str]
) -> bool:
    """Whether a Dockerfile differs from the catalog only because a parent in the catalog moved.

    Such a Dockerfile does not exist yet (`old` is None), or `old` is what the catalog renders with the pins
    that it contains. A build may rewrite it without a review; any other difference needs one.
    """
    if old is None:
        return any(parent.family for parent in image.all_parents)
    earlier = _pins_in(image, old, lock)
    return bool(earlier) and render(image, lock.with_parents(earlier)) == old


def _pins_in(image: Image, old: str, lock: Lock) -> dict[str, LockedParent]:
    """Lock an image's parents in the catalog to the digests in its Dockerfile."""
    found: dict[str, LockedParent] = {}
    for parent in image.all_parents:
        locked = found.get(parent.key) or lock.parents.get(parent.key)
        name = re.escape(str(parent.reference.without_digest()))
        digest = re.search(rf"\s{name}@(sha256:[0-9a-f]{{64}})\b", old)
        if parent.family and locked and digest and parent.platform in locked.platforms:
            pin = replace(locked.platforms[parent.platform], digest=Digest(digest[1]))
            found[parent.key] = replace(locked, platforms={**locked.platforms, parent.platform: pin})
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Relock:
    """A version of the catalog whose images have other digests than the lock; `old` is None if not locked."""

    key: str
    old: LockedParent | None
    merged: Descriptor
    pins: Mapping[Platform, Descriptor]
    children: tuple[Image, ...]

    def pinned(self, today: str) -> LockedParent:
        """The new entry of the lock; `today` is a date, YYYY-MM-DD."""
        return LockedParent(
            digest=self.merged.digest,
            media_type=self.merged.media_type,
            first_seen=today,
            platforms={
                platform: Pin(image.digest, image.size) for platform, image in sorted(self.pins.items())
            },
        )

    def refusal(self, child: Image) -> Problem:
        """The error for a child if --locked forbids the change of the lock."""
        parents = {one.platform: one for one in child.all_parents if one.key == self.key}
        moved = [one for one in self.pins if self._locked(one) != self.pins[one].digest]
        # The child's own platform if it moved. A version is pinned with all its platforms, so another one
        # can be the cause as well, and is named then.
        platform = next((one for one in moved if one in parents), (moved or list(parents))[0])
        parent = parents.get(platform) or next(iter(parents.values()))
        where = "" if platform in parents else f" on {platform}"
        locked = self._locked(platform)
        message = (
            f"{child.name}: the digest of parent {self.key} changed{where}:"
            f" {f'locked {locked}' if locked else 'not locked'}, built {self.pins[platform].digest};"
            f" run `dfgen build` without --locked, and commit {LOCK_FILE} and the Dockerfiles"
        )
        return Problem(parent.place, message)

    def _locked(self, platform: Platform) -> Digest | None:
        pin = self.old.platforms.get(platform) if self.old else None
        return pin.digest if pin else None


def children_by_parent(catalog: Catalog) -> Mapping[str, Sequence[Image]]:
    """The images that are built on each version of the catalog, in the catalog's order."""
    found: dict[str, dict[str, Image]] = {}
    for image in catalog.images:
        for parent in image.all_parents:
            if parent.family:
                found.setdefault(parent.key, {})[image.name] = image
    return {key: tuple(images.values()) for key, images in found.items()}


def relock(
    key: str,
    children: Sequence[Image],
    lock: Lock,
    merged: Descriptor,
    pins: Mapping[Platform, Descriptor],
) -> Relock | None:
    """Compare a version's digests with the lock, on the platforms that its children use; None if equal."""
    used = {parent.platform for child in children for parent in child.all_parents if parent.key == key}
    old = lock.parents.get(key)
    same = old and all(
        platform in old.platforms and old.platforms[platform].digest == pins[platform].digest
        for platform in used
    )
    if same or not used:
        return None
    return Relock(key=key, old=old, merged=merged, pins=pins, children=tuple(children))
