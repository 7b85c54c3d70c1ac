"""Dockerfiles that a build which was broken off left behind the lock: only pins of families differ."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from dfgen.catalog.lockfile import Lock, LockedParent
from dfgen.catalog.model import Image
from dfgen.oci.digest import Digest


def is_behind(image: Image, old: str | None, lock: Lock, render: Callable[[Image, Lock], str]) -> bool:
    """Whether a build would write a Dockerfile again by itself, for a parent in the catalog that moved.

    It is not there yet (`old` is None), or it is what the catalog gave with the pins of families that stand
    in it. Any other difference waits for a person.
    """
    if old is None:
        return any(parent.family for parent in image.all_parents)
    earlier = _earlier(image, old, lock)
    return bool(earlier) and render(image, lock.with_parents(earlier)) == old


def _earlier(image: Image, old: str, lock: Lock) -> dict[str, LockedParent]:
    """Lock an image's parents in the catalog as its Dockerfile has them."""
    found: dict[str, LockedParent] = {}
    for parent in image.all_parents:
        locked = found.get(parent.key) or lock.parents.get(parent.key)
        name = re.escape(str(parent.reference.without_digest()))
        digest = re.search(rf"\s{name}@(sha256:[0-9a-f]{{64}})\b", old)
        if parent.family and locked and digest and parent.platform in locked.platforms:
            pin = replace(locked.platforms[parent.platform], digest=Digest(digest[1]))
            found[parent.key] = replace(locked, platforms={**locked.platforms, parent.platform: pin})
    return found
