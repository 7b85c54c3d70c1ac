"""Risks of the lock: pins that are no image's or another platform's, and parents that do not fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from dfgen.catalog.lockfile import LockedParent
from dfgen.commands.review import pins
from dfgen.commands.review.records import ParentDetails, Sources, State
from dfgen.commands.review.risks import error, warning
from dfgen.errors import Place, listing
from dfgen.findings import Finding, Level
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import INDEX_TYPES
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference

_APART = 7  # days between the architectures of one build of an image, at most
_AGAIN = "run `dfgen lock --upgrade {}`"


@dataclass(frozen=True, kw_only=True)
class Locks:
    """The two locks, and what else is known of the digests in them."""

    before: State
    after: State
    sources: Sources

    @cached_property
    def changed(self) -> dict[str, LockedParent]:
        """The parents of the lock after that are new or differ."""
        old = self.before.lock.parents
        return {key: one for key, one in self.after.lock.parents.items() if old.get(key) != one}

    @cached_property
    def references(self) -> dict[str, Reference]:
        """Where each parent is read."""
        return pins.references(self.before, self.after)

    @cached_property
    def indexes(self) -> frozenset[Digest]:
        """Every digest that either lock says is an index's."""
        parents = [*self.before.lock.parents.values(), *self.after.lock.parents.values()]
        return frozenset(one.digest for one in parents if one.media_type in INDEX_TYPES)

    @cached_property
    def owners(self) -> dict[Digest, Platform]:
        """The platform that the lock before pinned a digest for, where it was one alone."""
        found: dict[Digest, set[Platform]] = {}
        for locked in self.before.lock.parents.values():
            for platform, pin in locked.platforms.items():
                found.setdefault(pin.digest, set()).add(platform)
        return {digest: next(iter(platforms)) for digest, platforms in found.items() if len(platforms) == 1}

    @cached_property
    def replaced(self) -> dict[str, str]:
        """The parents that came in another's place: new name to old."""
        return pins.replaced(self.before, self.after)

    def earlier(self, key: str) -> LockedParent | None:
        """What the lock before has for a parent, or for the one in whose place it came."""
        return self.before.lock.parents.get(self.replaced.get(key, key))

    def look(self, key: str, digest: Digest) -> ParentDetails | None:
        """What a digest holds, where somebody knows."""
        reference = self.references.get(key)
        return self.sources.look(reference, digest) if self.sources.look and reference else None

    def owner(self, key: str, digest: Digest) -> Platform | None:
        """The platform that a digest is of, as far as it is known."""
        details = self.look(key, digest)
        return details.platform if details else self.owners.get(digest)

    def place(self, key: str, platform: Platform | None = None) -> Place:
        """Where the lock after has a parent, or its pin for a platform."""
        return pins.place(self.after, key, platform)

    def is_index(self, key: str, digest: Digest) -> bool:
        """Whether a digest is known to be an index's."""
        details = self.look(key, digest)
        return digest in self.indexes or (details is not None and details.platform is None)

    def swapped(self, key: str) -> frozenset[Platform]:
        """The platforms of a parent whose pins stand in each other's place."""
        pinned = self.after.lock.parents[key].platforms
        owners = {platform: self.owner(key, pin.digest) for platform, pin in pinned.items()}
        return frozenset(
            one
            for one, other in owners.items()
            if other is not None and other != one and owners.get(other) == one
        )


def index_digest(locks: Locks) -> Iterator[Finding]:
    """A pin that is an index digest: which image it is would be decided by the machine that builds."""
    for key, locked in locks.changed.items():
        for platform, pin in sorted(locked.platforms.items()):
            if locks.is_index(key, pin.digest):
                message = (
                    f"the pin of {key} for {platform} is an index digest; expected the digest of the"
                    f" {platform} image; {_AGAIN.format(key)}"
                )
                yield error("pin-index", message, locks.place(key, platform))


def wrong_platform(locks: Locks) -> Iterator[Finding]:
    """A pin of another architecture's image."""
    for key, locked in locks.changed.items():
        swapped = locks.swapped(key)
        seen: dict[Digest, Platform] = {}
        for platform, pin in sorted(locked.platforms.items()):
            owner = locks.owner(key, pin.digest) or seen.get(pin.digest, platform)
            seen[pin.digest] = platform
            if owner != platform and platform not in swapped and not locks.is_index(key, pin.digest):
                message = (
                    f"the pin of {key} for {platform} is the image for {owner}; expected that for"
                    f" {platform}; {_AGAIN.format(key)}"
                )
                yield error("pin-platform", message, locks.place(key, platform))


def swapped_pair(locks: Locks) -> Iterator[Finding]:
    """Pins of two platforms that stand in each other's place."""
    for key in locks.changed:
        swapped = sorted(locks.swapped(key))
        if swapped:
            names = listing(str(platform) for platform in swapped)
            message = f"the pins of {key} for {names} are swapped; {_AGAIN.format(key)}"
            yield error("pin-swapped", message, locks.place(key, swapped[0]))


def not_its_own(locks: Locks) -> Iterator[Finding]:
    """A pin that moved while the parent's digest did not: what a digest holds never changes."""
    for key, locked in locks.changed.items():
        old = locks.before.lock.parents.get(key)
        if old and old.digest == locked.digest:
            for platform in _moved(locks, key, old, locked):
                message = (
                    f"the pin of {key} for {platform} moved and the digest of {key} did not, which can hold"
                    f" one image for {platform} only; {_AGAIN.format(key)}"
                )
                yield error("pin-parent", message, locks.place(key, platform))


def _moved(locks: Locks, key: str, old: LockedParent, new: LockedParent) -> list[Platform]:
    """The platforms whose pin moved, to an image of that platform as far as is known; else it is told."""
    return [
        one
        for one in sorted(new.platforms.keys() & old.platforms.keys())
        if old.platforms[one].digest != (digest := new.platforms[one].digest)
        and locks.owner(key, digest) in (None, one)
        and not locks.is_index(key, digest)
    ]


def different_ages(locks: Locks) -> Iterator[Finding]:
    """Architectures of one parent that are not of one build: some moved and others did not."""
    for key, locked in locks.changed.items():
        old = locks.earlier(key)
        common = sorted(locked.platforms.keys() & old.platforms.keys()) if old else []
        moved = _moved(locks, key, old, locked) if old else []
        stayed = [one for one in common if old and old.platforms[one].digest == locked.platforms[one].digest]
        if len(moved) + len(stayed) < len(common) or (moved and old and old.digest == locked.digest):
            continue  # that is another risk
        if moved and stayed:
            names = [listing(str(one) for one in some) for some in (moved, stayed)]
            message = (
                f"{key} moved for {names[0]} and not for {names[1]}; expected one build of the parent for"
                f" every platform; {_AGAIN.format(key)}"
            )
            yield warning("parent-ages", message, locks.place(key, stayed[0]))
        else:
            yield from _far_apart(locks, key, locked)


def _far_apart(locks: Locks, key: str, locked: LockedParent) -> Iterator[Finding]:
    details = {one: locks.look(key, pin.digest) for one, pin in sorted(locked.platforms.items())}
    made = {one: time for one, known in details.items() if known and (time := _time(known.created))}
    if not made:
        return
    oldest, newest = min(made, key=lambda one: made[one]), max(made, key=lambda one: made[one])
    days = (made[newest] - made[oldest]).days
    if days > _APART:
        message = (
            f"{key} for {oldest} was built {days} days before that for {newest}; expected one build of the"
            f" parent for every platform; see whether its publisher still builds {oldest}"
        )
        yield warning("parent-ages", message, locks.place(key, oldest))


def _time(text: str) -> datetime | None:
    """Read the date of a configuration; its fractions of a second do not matter."""
    try:
        return datetime.fromisoformat(f"{text[:19]}+00:00")
    except ValueError:
        return None


def tag_moved(locks: Locks) -> Iterator[Finding]:
    """A tag that points at something else than what it is pinned to."""
    names = locks.replaced
    for key, locked in locks.changed.items():
        reference = locks.references.get(key)
        was = locks.before.lock.parents.get(names.get(key, ""))
        if was and was.platforms == locked.platforms:
            message = (
                f"{key} has the pins of {names[key]}; expected those of its own tag; {_AGAIN.format(key)}"
            )
            yield warning("tag-mismatch", message, locks.place(key))
        elif locks.sources.resolve and reference and reference.tag and "/" in key:  # a family's has none
            now = locks.sources.resolve(reference.without_digest())
            if now and now != locked.digest:
                message = (
                    f"{key} points at {now} now, and the lock has {locked.digest}; the tag moved, or the pin"
                    f" was never its; {_AGAIN.format(key)}"
                )
                yield warning("tag-mismatch", message, locks.place(key))


def lost_platform(locks: Locks) -> Iterator[Finding]:
    """A parent that is not there for a platform any more."""
    needed = _needed(locks.after)
    for key, locked in locks.changed.items():
        old = locks.earlier(key)
        for platform in sorted((old.platforms.keys() if old else set()) - locked.platforms.keys()):
            users = needed.get((key, platform), [])
            used = f"{listing(users)} cannot be built" if users else "no image needs it now"
            message = f"{key} has no image for {platform} any more; {used}; choose another tag"
            level = Level.ERROR if users else Level.WARNING
            yield Finding(rule="parent-platform", level=level, message=message, place=locks.place(key))


def _needed(state: State) -> dict[tuple[str, Platform], list[str]]:
    found: dict[tuple[str, Platform], list[str]] = {}
    for image in state.catalog.images if state.catalog else ():
        for parent in image.all_parents:
            found.setdefault((parent.key, parent.platform), []).append(image.name)
    return found


def different_tags(locks: Locks) -> Iterator[Finding]:
    """Architectures of one version that are built on different parents, and were not on these before."""
    earlier = {(name, keys) for name, keys, _ in _unlike(locks.before)}
    for name, keys, place in _unlike(locks.after):
        if (name, keys) not in earlier:
            message = (
                f"{name} is built on {listing(keys)}, by architecture; expected one parent; see"
                " whether that is meant"
            )
            yield warning("parent-tags", message, place)


def _unlike(state: State) -> Iterator[tuple[str, tuple[str, ...], Place]]:
    """Yield the versions with a stage whose parents differ, with these and the place of the last."""
    for name, images in state.catalog.versions.items() if state.catalog else ():
        by_stage: dict[str, dict[str, Place]] = {}
        for image in images:
            for stage, parent in {"": image.parent, **image.parents}.items():
                by_stage.setdefault(stage, {})[parent.key] = parent.place
        for parents in by_stage.values():
            if len(parents) > 1:
                yield name, tuple(sorted(parents)), [*parents.values()][-1]


RISKS = (
    index_digest,
    wrong_platform,
    swapped_pair,
    not_its_own,
    different_ages,
    different_tags,
    tag_moved,
    lost_platform,
)
