"""Risks of the lock: pins of an index or of another platform, and pins that do not belong together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from dfgen.oci.images import is_plausible, parse_created
from dfgen.oci.manifest import INDEX_TYPES
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference

_MAX_AGE_DIFFERENCE = 7  # days between the architectures of one build of a parent
_UPGRADE = "run `dfgen lock --upgrade {}`"


@dataclass(frozen=True, kw_only=True)
class Locks:
    """The two locks, and the sources with details of their digests."""

    before: State
    after: State
    sources: Sources

    @cached_property
    def changed(self) -> dict[str, LockedParent]:
        """The parents in the new lock that were added or changed."""
        old = self.before.lock.parents
        return {key: one for key, one in self.after.lock.parents.items() if old.get(key) != one}

    @cached_property
    def references(self) -> dict[str, Reference]:
        """The reference from which each parent is pulled."""
        return pins.references(self.before, self.after)

    @cached_property
    def indexes(self) -> frozenset[Digest]:
        """Every digest that is an index according to one of the locks."""
        parents = [*self.before.lock.parents.values(), *self.after.lock.parents.values()]
        return frozenset(one.digest for one in parents if one.media_type in INDEX_TYPES)

    @cached_property
    def owners(self) -> dict[Digest, Platform]:
        """The platform for which the old lock pins a digest; without those of several platforms."""
        found: dict[Digest, set[Platform]] = {}
        for locked in self.before.lock.parents.values():
            for platform, pin in locked.platforms.items():
                found.setdefault(pin.digest, set()).add(platform)
        return {digest: next(iter(platforms)) for digest, platforms in found.items() if len(platforms) == 1}

    @cached_property
    def replaced(self) -> dict[str, str]:
        """Replaced parents, new name to old."""
        return pins.replaced(self.before, self.after)

    def earlier(self, key: str) -> LockedParent | None:
        """Return the entry of the old lock for a parent, or for the one that it replaces."""
        return self.before.lock.parents.get(self.replaced.get(key, key))

    def inspect(self, key: str, digest: Digest) -> ParentDetails | None:
        """Return the details of a parent's digest, None if they are unknown."""
        reference = self.references.get(key)
        return self.sources.inspect(reference, digest) if self.sources.inspect and reference else None

    def owner(self, key: str, digest: Digest) -> Platform | None:
        """Return the platform of the image with a digest, None if it is unknown."""
        details = self.inspect(key, digest)
        return details.platform if details else self.owners.get(digest)

    def place(self, key: str, platform: Platform | None = None) -> Place:
        """Return the place of a parent in the new lock, or of its pin for a platform."""
        return pins.place(self.after, key, platform)

    def is_index(self, key: str, digest: Digest) -> bool:
        """Return whether a digest is known to be an index."""
        details = self.inspect(key, digest)
        return digest in self.indexes or (details is not None and details.platform is None)

    def swapped(self, key: str) -> frozenset[Platform]:
        """Return the platforms of a parent whose pins are swapped."""
        pinned = self.after.lock.parents[key].platforms
        owners = {platform: self.owner(key, pin.digest) for platform, pin in pinned.items()}
        return frozenset(
            one
            for one, other in owners.items()
            if other is not None and other != one and owners.get(other) == one
        )


def index_digest(locks: Locks) -> Iterator[Finding]:
    """Report pins that are an index digest: the machine that builds would choose the image."""
    for key, locked in locks.changed.items():
        for platform, pin in sorted(locked.platforms.items()):
            if locks.is_index(key, pin.digest):
                message = (
                    f"the pin of {key} for {platform} is an index digest; expected the digest of the"
                    f" {platform} image; {_UPGRADE.format(key)}"
                )
                yield error("pin-index", message, locks.place(key, platform))


def wrong_platform(locks: Locks) -> Iterator[Finding]:
    """Report pins of another platform's image."""
    for key, locked in locks.changed.items():
        swapped = locks.swapped(key)
        seen: dict[Digest, Platform] = {}
        for platform, pin in sorted(locked.platforms.items()):
            # An unknown digest that two platforms share is right for one of them at most.
            owner = locks.owner(key, pin.digest) or seen.get(pin.digest, platform)
            seen[pin.digest] = platform
            if owner != platform and platform not in swapped and not locks.is_index(key, pin.digest):
                message = f"the pin of {key} for {platform} is a {owner} image; {_UPGRADE.format(key)}"
                yield error("pin-platform", message, locks.place(key, platform))


def swapped_pair(locks: Locks) -> Iterator[Finding]:
    """Report swapped pins of two platforms."""
    for key in locks.changed:
        swapped = sorted(locks.swapped(key))
        if swapped:
            names = listing(str(platform) for platform in swapped)
            message = f"the pins of {key} for {names} are swapped; {_UPGRADE.format(key)}"
            yield error("pin-swapped", message, locks.place(key, swapped[0]))


def moved_without_parent(locks: Locks) -> Iterator[Finding]:
    """Report pins that moved although the digest of their index did not: its content never changes."""
    for key, locked in locks.changed.items():
        old = locks.before.lock.parents.get(key)
        if old and old.digest == locked.digest:
            for platform in _moved(locks, key, old, locked):
                message = (
                    f"the pin of {key} for {platform} moved although the digest of {key} did not, so it is"
                    f" of another build; {_UPGRADE.format(key)}"
                )
                yield error("pin-parent", message, locks.place(key, platform))


def _moved(locks: Locks, key: str, old: LockedParent, new: LockedParent) -> list[Platform]:
    """Return the platforms whose pin moved, apart from wrong pins, which other risks report."""
    return [
        one
        for one in sorted(new.platforms.keys() & old.platforms.keys())
        if old.platforms[one].digest != (digest := new.platforms[one].digest)
        and locks.owner(key, digest) in (None, one)
        and not locks.is_index(key, digest)
    ]


def different_ages(locks: Locks) -> Iterator[Finding]:
    """Report parents that moved for some platforms only, or whose images were built far apart."""
    for key, locked in locks.changed.items():
        old = locks.earlier(key)
        common = sorted(locked.platforms.keys() & old.platforms.keys()) if old else []
        moved = _moved(locks, key, old, locked) if old else []
        stayed = [one for one in common if old and old.platforms[one].digest == locked.platforms[one].digest]
        if len(moved) + len(stayed) < len(common) or (moved and old and old.digest == locked.digest):
            continue  # another risk reports it
        if moved and stayed:
            names = [listing(str(one) for one in some) for some in (moved, stayed)]
            message = (
                f"{key} moved for {names[0]} but not for {names[1]}; all platforms should use the same build;"
                f" {_UPGRADE.format(key)}"
            )
            yield warning("parent-ages", message, locks.place(key, stayed[0]))
        else:
            yield from _far_apart(locks, key, locked)


def _far_apart(locks: Locks, key: str, locked: LockedParent) -> Iterator[Finding]:
    details = {one: locks.inspect(key, pin.digest) for one, pin in sorted(locked.platforms.items())}
    created = {one: time for one, known in details.items() if (time := _time(known))}
    if not created:
        return
    oldest, newest = (order(created, key=lambda one: created[one]) for order in (min, max))
    days = (created[newest] - created[oldest]).days
    if days > _MAX_AGE_DIFFERENCE:
        message = (
            f"{key} was built {days} days earlier for {oldest} than for {newest}; check whether its publisher"
            f" still builds {oldest}"
        )
        yield warning("parent-ages", message, locks.place(key, oldest))


def _time(details: ParentDetails | None) -> datetime | None:
    """Return when an image was created; None if that is unknown, or set to 1970 by a reproducible build."""
    created = parse_created(details.created) if details else None
    return created if created and is_plausible(created) else None


def back_in_time(locks: Locks) -> Iterator[Finding]:
    """Report pins that moved to an image that was created before the replaced one."""
    for key, locked in locks.changed.items():
        old = locks.earlier(key)
        for platform in _moved(locks, key, old, locked) if old else ():
            digests = [one.platforms[platform].digest for one in (old, locked) if one]
            was, now = (_time(details) for details in _both(locks, key, digests))
            if was and now and now < was:
                message = (
                    f"{key} goes back in time for {platform}: created {was:%Y-%m-%d} → {now:%Y-%m-%d}; check"
                    " why its publisher went back, and whether fixes are lost"
                )
                yield warning("parent-older", message, locks.place(key, platform))


def _both(locks: Locks, key: str, digests: Sequence[Digest]) -> list[ParentDetails | None]:
    names = (locks.replaced.get(key, key), key)
    return [locks.inspect(name, digest) for name, digest in zip(names, digests, strict=True)]


def tag_moved(locks: Locks) -> Iterator[Finding]:
    """Report parents with the pins of another tag, and tags that no longer point to their pin."""
    names = locks.replaced
    for key, locked in locks.changed.items():
        reference = locks.references.get(key)
        was = locks.before.lock.parents.get(names.get(key, ""))
        if was and was.platforms == locked.platforms:
            message = f"{key} has the pins of {names[key]}; {_advice(locks, key)}"
            yield warning("tag-mismatch", message, locks.place(key))
        elif locks.sources.resolve and reference and reference.tag and "/" in key:  # not a family
            now = locks.sources.resolve(reference.without_digest())
            if now and now != locked.digest:
                name = key.partition("@")[0]
                message = (
                    f"{name} now points to {now}, but the lock has {locked.digest}; the tag moved, or the pin"
                    f" is wrong; {_advice(locks, key, now)}"
                )
                yield warning("tag-mismatch", message, locks.place(key))


def _advice(locks: Locks, key: str, now: Digest | None = None) -> str:
    """Say how to get the pins of a tag; a digest beside it in a `base.yaml` has to be edited there."""
    name, _, digest = key.partition("@")
    if not digest:
        return _UPGRADE.format(key)
    uses = (image.all_parents for image in (locks.after.catalog.images if locks.after.catalog else ()))
    places = [parent.place for parents in uses for parent in parents if parent.key == key]
    at = f" at {places[0]}" if places else ""
    return f"write `{f'{name}@{now}' if now else name}`{at}, then run `dfgen lock`"


def lost_platform(locks: Locks) -> Iterator[Finding]:
    """Report parents that no longer have an image for a platform."""
    needed = _needed(locks.after)
    for key, locked in locks.changed.items():
        old = locks.earlier(key)
        for platform in sorted((old.platforms.keys() if old else set()) - locked.platforms.keys()):
            users = needed.get((key, platform), [])
            used = f"{listing(users)} cannot be built" if users else "no image needs it"
            message = f"{key} no longer has an image for {platform}; {used}; choose another tag"
            level = Level.ERROR if users else Level.WARNING
            yield Finding(rule="parent-platform", level=level, message=message, place=locks.place(key))


def _needed(state: State) -> dict[tuple[str, Platform], list[str]]:
    found: dict[tuple[str, Platform], list[str]] = {}
    for image in state.catalog.images if state.catalog else ():
        for parent in image.all_parents:
            found.setdefault((parent.key, parent.platform), []).append(image.name)
    return found


def different_tags(locks: Locks) -> Iterator[Finding]:
    """Report versions whose platforms use different parents, unless they used the same ones before."""
    earlier = {(name, keys) for name, keys, _ in _different_parents(locks.before)}
    for name, keys, place in _different_parents(locks.after):
        if (name, keys) not in earlier:
            message = (
                f"{name} has different parents on different platforms: {listing(keys)}; check whether this is"
                " intended"
            )
            yield warning("parent-tags", message, place)


def _different_parents(state: State) -> Iterator[tuple[str, tuple[str, ...], Place]]:
    """Yield each version with a stage whose parents differ, those parents, and the place of the last one."""
    for name, images in state.catalog.versions.items() if state.catalog else ():
        by_stage: dict[str, dict[str, Place]] = {}
        for image in images:
            for stage, parent in image.stages.items():
                by_stage.setdefault(stage, {})[parent.key] = parent.place
        for parents in by_stage.values():
            if len(parents) > 1:
                yield name, tuple(sorted(parents)), [*parents.values()][-1]


def changed_behavior(locks: Locks) -> Iterator[Finding]:
    """Report parents that run another program, or as another user, than the ones before; needs details."""
    for key, locked in locks.changed.items():
        old = locks.earlier(key)
        changes: dict[str, list[Platform]] = {}
        for platform, pin in sorted(locked.platforms.items()):
            before = old.platforms.get(platform) if old else None
            was = locks.inspect(locks.replaced.get(key, key), before.digest) if before else None
            now = locks.inspect(key, pin.digest)
            for change in pins.behavior(was, now) if was and now else ():
                changes.setdefault(change, []).append(platform)
        for change, platforms in changes.items():
            message = (
                f"{key} for {listing(map(str, platforms))} has another {change}; images inherit it unless"
                " they set their own, so check whether it is still the same software"
            )
            yield warning("parent-behavior", message, locks.place(key, platforms[0]))


RISKS = (
    index_digest,
    wrong_platform,
    swapped_pair,
    moved_without_parent,
    different_ages,
    back_in_time,
    different_tags,
    tag_moved,
    lost_platform,
    changed_behavior,
)
