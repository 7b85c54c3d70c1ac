"""The sentences that every form of a review has."""

from __future__ import annotations

from collections import Counter

from dfgen.reviewing.records import Group, Kind, PinMove, PlatformMove, Radius, Rebuild, Review
from dfgen.values.digest import Digest
from dfgen.values.finding import Level

_SHORT = len("sha256:") + 12


def count(number: int, what: str) -> str:
    """Write `1 error`, `2 errors`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def times(group: Group) -> str:
    """Say in how many files the same change is."""
    return f"× {len(group.files)}"  # noqa: RUF001


def summary(review: Review) -> str:
    """Say all in one line: what is wrong, what changes and what does not."""
    levels = Counter(risk.level for risk in review.risks)
    wrong = ", ".join(count(levels[level], level) for level in Level if levels[level]) or "no risks"
    changed = sum(len(group.files) for group in review.groups)
    ways = f" in {count(len(review.groups), 'way')}" if review.groups else ""
    rebuilt = len(review.radius.rebuilt)
    return (
        f"{wrong}; {count(changed, 'Dockerfile')} changed{ways}, {review.unchanged} unchanged; "
        f"{count(len(review.pins), 'pin')} moved; {count(rebuilt, 'image')} to build, "
        f"{review.radius.untouched} untouched"
    )


def short(digest: Digest | None) -> str:
    """Write a digest so that it fits a line."""
    return str(digest)[:_SHORT] if digest else "none"


def pin(move: PinMove) -> str:
    """Name a parent that moved, and what it replaces."""
    replaces = f" (replaces {move.replaces})" if move.replaces else ""
    moved = f": {move.kind}" if move.kind is not Kind.CHANGED else ""
    return f"{move.parent}{moved}{replaces}"


def platform(move: PlatformMove) -> str:
    """Say from where to where a pin moved, and what moved inside of the parent."""
    inside = f": {'; '.join(move.inside)}" if move.inside else ""
    return f"{move.platform} {short(move.before)} → {short(move.after)}{inside}"


def to_build(radius: Radius) -> str:
    """Say how many images are built, and how long that took last time, as far as it is known."""
    known = sum(one.seconds is not None for one in radius.rebuilt)
    images = f"{count(len(radius.rebuilt), 'image')} to build"
    part = f" for {known} of them" if known < len(radius.rebuilt) else ""
    return f"{images}, {radius.seconds:.0f} s together last time{part}" if known else images


def rebuild(one: Rebuild) -> str:
    """Say which image is built and why."""
    seconds = f" ({one.seconds:.0f} s last time)" if one.seconds is not None else ""
    return f"{one.image}: {', '.join(one.reasons)}{seconds}"
