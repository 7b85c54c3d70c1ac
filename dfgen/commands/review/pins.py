"""Compares two locks: which parents moved, per platform, and what changed inside of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from dfgen.catalog.lockfile import LOCK_FILE, LockedParent
from dfgen.catalog.model import Catalog, Parent
from dfgen.commands.review.records import Kind, ParentDetails, PinMove, PlatformMove, State
from dfgen.errors import Place
from dfgen.oci.digest import Digest
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference

Inspect = Callable[[Reference, Digest], ParentDetails | None]


def moves(before: State, after: State) -> tuple[PinMove, ...]:
    """Return the parents that were added, removed or changed, sorted by name."""
    names = replaced(before, after)
    users, earlier = uses(after.catalog), uses(before.catalog)
    replaced_names = {was for was in names.values() if was not in after.lock.parents}
    found = []
    for key in sorted({*before.lock.parents, *after.lock.parents} - replaced_names):
        old = before.lock.parents.get(names.get(key, key))
        new = after.lock.parents.get(key)
        if old == new and key not in names:
            continue
        move = PinMove(
            kind=_kind(old, new),
            parent=key,
            before=old.digest if old else None,
            after=new.digest if new else None,
            platforms=tuple(_platforms(old, new)),
            images=users.get(key) or earlier.get(key, ()),
            place=place(after, key),
            replaces=names.get(key, ""),
        )
        if _is_move(move):
            found.append(move)
    return tuple(found)


def _kind(old: LockedParent | None, new: LockedParent | None) -> Kind:
    if old is None:
        return Kind.ADDED
    return Kind.CHANGED if new else Kind.REMOVED


def _platforms(old: LockedParent | None, new: LockedParent | None) -> Iterator[PlatformMove]:
    before, after = (one.platforms if one else {} for one in (old, new))
    for platform in sorted({*before, *after}):
        was, now = before.get(platform), after.get(platform)
        digests = [pin.digest if pin else None for pin in (was, now)]
        if digests[0] != digests[1]:
            yield PlatformMove(platform=platform, before=digests[0], after=digests[1])


def _is_move(move: PinMove) -> bool:
    """Return whether more than the date or the size of a lock entry changed."""
    return bool(move.platforms) or move.before != move.after or bool(move.replaces)


def with_details(
    found: tuple[PinMove, ...], references: Mapping[str, Reference], inspect: Inspect
) -> tuple[PinMove, ...]:
    """Add the changes inside of each parent for which `inspect` returns details of both digests."""
    return tuple(
        replace(move, platforms=tuple(_with_inside(one, move, references, inspect) for one in move.platforms))
        for move in found
    )


def _with_inside(
    one: PlatformMove, move: PinMove, references: Mapping[str, Reference], inspect: Inspect
) -> PlatformMove:
    new = references.get(move.parent)
    old = references.get(move.replaces or move.parent)
    if not (one.before and one.after and old and new):
        return one
    was, now = inspect(old, one.before), inspect(new, one.after)
    return replace(one, inside=tuple(_inside(was, now))) if was and now else one


def _inside(old: ParentDetails, new: ParentDetails) -> Iterator[str]:
    if old.size != new.size:
        yield f"size {old.size:,} → {new.size:,} bytes ({new.size - old.size:+,})"
    if old.created != new.created:
        yield f"created {_shown(old.created)} → {_shown(new.created)}"
    yield from behavior(old, new)
    yield from _mapping("environment", old.environment, new.environment)
    yield from _mapping("label", old.labels, new.labels)


def behavior(old: ParentDetails, new: ParentDetails) -> Iterator[str]:
    """Describe each change of what an image runs, and as whom."""
    for name in ("user", "entrypoint", "command"):
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            yield f"{name} {_shown(was)} → {_shown(now)}"


def _shown(value: str | tuple[str, ...]) -> str:
    if isinstance(value, str):
        return value or "none"
    return json.dumps(value) if value else "none"


def _mapping(what: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield f"{what} {name} {old.get(name, 'unset')} → {new.get(name, 'unset')}"


def place(state: State, key: str, platform: Platform | None = None) -> Place:
    """Find the line of a parent in the lock, or of its pin for a platform; line 0 if it is not locked."""
    # A search in the text is enough: dfgen writes the lock, and always in the same layout.
    lines = state.lock_text.splitlines()
    start = f"    {json.dumps(key)}: {{"
    at = lines.index(start) + 1 if start in lines else 0
    if at and platform is not None:
        own = (
            number for number in range(at, len(lines)) if lines[number].strip().startswith(f'"{platform}":')
        )
        return Place(LOCK_FILE, next(own, at - 1) + 1)
    return Place(LOCK_FILE, at)


def uses(catalog: Catalog | None) -> Mapping[str, tuple[str, ...]]:
    """Return the names of the images built on each parent, by its key in the lock."""
    found: dict[str, dict[str, None]] = {}
    for image in catalog.images if catalog else ():
        for parent in image.all_parents:
            found.setdefault(parent.key, {})[image.name] = None
    return {key: tuple(names) for key, names in found.items()}


def references(*states: State) -> dict[str, Reference]:
    """Return the reference from which each parent is pulled, by its key; mirrors are applied."""
    parents: Iterator[tuple[Catalog, Parent]] = (
        (state.catalog, parent)
        for state in states
        if state.catalog
        for image in state.catalog.images
        for parent in image.all_parents
    )
    return {parent.key: catalog.mirrored(parent.reference) for catalog, parent in parents}


def replaced(before: State, after: State) -> dict[str, str]:
    """Return replaced parents, new name to old. A parent that replaces different ones is left out."""
    if not before.catalog or not after.catalog:
        return {}
    old = {image.name: [parent.key for parent in image.all_parents] for image in before.catalog.images}
    found: dict[str, set[str]] = {}
    for image in after.catalog.images:
        keys = [parent.key for parent in image.all_parents]
        for was, now in zip(old.get(image.name, ()), keys, strict=False):
            if now not in before.lock.parents and was in before.lock.parents:
                found.setdefault(now, set()).add(was)
    return {now: next(iter(was)) for now, was in found.items() if len(was) == 1}
