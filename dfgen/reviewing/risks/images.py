"""Risks of images: an immutable version that is built again or goes, and a context that BuildKit refuses."""

from __future__ import annotations

from collections.abc import Iterator

from dfgen.catalog import layers
from dfgen.catalog.model import Image
from dfgen.errors import Place, listing
from dfgen.findings import Finding
from dfgen.reviewing.radius import Comparison
from dfgen.reviewing.records import Radius
from dfgen.reviewing.risks import error


def _place(of: Comparison, image: Image) -> Place:
    """Where the version is said to be immutable: now, or before when that is gone."""
    now = [one for one in of.new.images if one.name == image.name]
    set_by = (layers.last(one.layers, "immutable") for one in (*now, image))
    return next((found[1].place("immutable") for found in set_by if found), image.place)


def immutable(of: Comparison, radius: Radius) -> Iterator[Finding]:
    """A version that was promised never to change, and does. One that is no longer immutable counts too."""
    changed = {one.image: one.reasons for one in radius.rebuilt}
    changed |= dict.fromkeys(radius.removed, ("it is removed",))
    for version, images in of.old.versions.items():
        touched = [one for one in images if one.immutable and one.name in changed]
        if touched:
            names = listing(str(one.platform) for one in touched)
            reasons = listing(dict.fromkeys(reason for one in touched for reason in changed[one.name]))
            message = f"{version} is immutable and changes for {names}: {reasons}; add a new version instead"
            yield error("immutable", message, _place(of, touched[0]))


def context(of: Comparison) -> Iterator[Finding]:
    """A source that is missing from the context, or an ignore file that cannot be read; once a family."""
    seen: set[tuple[str, str]] = set()
    for image in of.new.images:
        for problem in of.refused(image):
            key = (image.family.name, problem.message)
            if key not in seen:
                seen.add(key)
                yield error("context", problem.message, problem.place or image.place)
