"""Names of the parents in the lock tests, and helpers to lock them."""

from __future__ import annotations

from typing import Any

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog
from dfgen.commands.lock import LockChanges, Locking, lock
from dfgen.oci.images import Once
from tests.unit.lock.fakes import MemoryRegistry

KEY = "docker.io/library/busybox:1.36"
OTHER = "docker.io/library/alpine:3"
TWO = f"parents: {{tool: '{OTHER}'}}\n"


def how(registry: MemoryRegistry, today: str = "2026-01-31", **more: Any) -> Locking:
    return Locking(registry=registry, puller=Once(registry), today=today, **more)


def first_lock(catalog: Catalog, registry: MemoryRegistry) -> Lock:
    first = lock(catalog, Lock(), how(registry)).lock
    registry.requests.clear()
    return first


def opened(changes: LockChanges | Lock, key: str = KEY) -> list[str]:
    """Return the requests that read the ONBUILD triggers of all pins of a parent."""
    found = changes if isinstance(changes, Lock) else changes.lock
    repository = key.rpartition(":")[0]
    digests = [pin.digest for _, pin in sorted(found.parents[key].platforms.items())]
    return [request for one in digests for request in (f"GET {repository}@{one}", f"BLOB {repository}")]


def pins(changes: LockChanges | Lock, key: str = KEY) -> list[str]:
    found = changes if isinstance(changes, Lock) else changes.lock
    return [f"{platform} {pin.digest}" for platform, pin in sorted(found.parents[key].platforms.items())]
