"""Locking as records: which parents are wanted, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dfgen.catalog.lockfile import Lock, LockedParent
from dfgen.errors import DfgenError, Place
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A parent that the catalog uses: where it is read, for which platforms, and where it is named."""

    key: str
    reference: Reference
    platforms: tuple[Platform, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Held:
    """A parent whose pins stay, with the reason; `locked` is its entry, with what it waits for."""

    reason: str
    locked: LockedParent


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A parent whose pins differ from the lock's; `old` is None for a parent that had none."""

    key: str
    old: LockedParent | None
    new: LockedParent


@dataclass(frozen=True, slots=True, kw_only=True)
class LockChanges:
    """What locking does: the new lock, what moved, and what could not or should not be moved.

    `held` gives the reason for each parent that was left as it is; `waiting` are families that have not been
    built yet; `unused` are entries that no image uses any more; `failed` tells of the parents that could not
    be pinned, while the others were.
    """

    lock: Lock
    moved: tuple[Moved, ...]
    held: Mapping[str, str] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    failed: DfgenError | None = None
