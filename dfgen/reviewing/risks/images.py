"""Risks of images: an immutable version that is built again or goes."""

from __future__ import annotations

from collections.abc import Iterator

from dfgen.reviewing.radius import Comparison
from dfgen.reviewing.records import Radius
from dfgen.values.errors import listing
from dfgen.values.finding import Finding, Level


def immutable(of: Comparison, radius: Radius) -> Iterator[Finding]:
    """A version that was promised never to change, and does. One that is no longer immutable counts too."""
    rebuilt = {one.image: one.reasons for one in radius.rebuilt}
    for name, image in of.earlier.items():
        if not image.immutable:
            continue
        reasons = rebuilt.get(name, ("it is removed",) if name in radius.removed else ())
        if reasons:
            message = f"{name} is immutable and changes: {listing(reasons)}; add a new version instead"
            yield Finding(rule="immutable", level=Level.ERROR, message=message, place=image.place)
