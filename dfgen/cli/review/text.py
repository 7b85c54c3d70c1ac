"""The sentences that every form of a review has, and what is told together in all of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from dfgen.commands.review.diff import is_pin
from dfgen.commands.review.records import Group, Kind, PinMove, PlatformMove, Radius, Rebuild, Review
from dfgen.findings import Finding, Level
from dfgen.oci.digest import Digest

_SHORT = len("sha256:") + 12
_SEAL = re.compile(r"[ +-]# dfgen:sha256:[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BECAME = {Kind.CHANGED: "moved", Kind.ADDED: "new", Kind.REMOVED: "removed"}


def count(number: int, what: str) -> str:
    """Write `1 error`, `2 errors`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def times(found: Sequence[object]) -> str:
    """Say how often the same is there."""
    return f"× {len(found)}"  # noqa: RUF001


def visible(text: str) -> str:
    """Escape what is not printable: line breaks, and characters that turn the direction of writing."""
    return "".join(one if one.isprintable() or one == "\t" else repr(one)[1:-1] for one in text)


def summary(review: Review) -> str:
    """Say all in one line: what is wrong, what changes and what does not."""
    levels = Counter(risk.level for risk in review.risks)
    wrong = ", ".join(count(levels[level], level) for level in Level if levels[level]) or "no risks"
    return "; ".join(
        (
            wrong,
            ", ".join((*_files(review.groups), f"{review.unchanged} unchanged")),
            _pins(review.pins),
            _reach(review.radius),
        )
    )


def _files(groups: Sequence[Group]) -> Iterator[str]:
    """Say how many Dockerfiles changed, came and went; at least that none did."""
    edited = [group for group in groups if group.kind in (Kind.CHANGED, Kind.COSMETIC)]
    numbers = {
        f"changed in {count(len(edited), 'way')}": edited,
        "new": [group for group in groups if group.kind is Kind.ADDED],
        "removed": [group for group in groups if group.kind is Kind.REMOVED],
    }
    known = [(word, sum(len(one.files) for one in found)) for word, found in numbers.items() if found]
    (word, number), *more = known or [("changed", 0)]
    yield f"{count(number, 'Dockerfile')} {word}"
    yield from (f"{number} {word}" for word, number in more)


def _reach(radius: Radius) -> str:
    """Say how many images are built and how many stay, as far as that is known."""
    if radius.partial and not radius.rebuilt:
        return "what is to build is not known"
    built = f"{count(len(radius.rebuilt), 'image')} to build"
    return f"{built} at least" if radius.partial else f"{built}, {radius.untouched} untouched"


def _pins(moves: Sequence[PinMove]) -> str:
    kinds = Counter(move.kind for move in moves)
    first, *more = [kind for kind in _BECAME if kinds[kind]] or [Kind.CHANGED]
    words = [f"{count(kinds[first], 'pin')} {_BECAME[first]}"]
    return ", ".join([*words, *(f"{kinds[kind]} {_BECAME[kind]}" for kind in more)])


def alike(risks: Iterable[Finding]) -> list[list[Finding]]:
    """Put together what says the same of several places; the worst first."""
    found: dict[tuple[str, str, str], list[Finding]] = {}
    for risk in risks:
        found.setdefault((risk.level, risk.rule, risk.message), []).append(risk)
    return sorted(found.values(), key=lambda one: [*Level].index(one[0].level))


def hunk(group: Group) -> list[str]:
    """The group's diff, as far as it is worth reading: one line names the file, and a seal says nothing."""
    names = group.hunk[:2]
    shown = [name for name in names if not name.endswith(" /dev/null")][-1:]
    return [*shown, *(line for line in group.hunk[2:] if not _SEAL.fullmatch(line))]


def told_by_pins(group: Group, review: Review) -> bool:
    """Whether the pins that moved say all that a group's difference does."""
    moved = {str(one.after) for move in review.pins for one in move.platforms}
    return bool(group.steps) and all(
        is_pin(step)
        and moved.issuperset({*_DIGEST.findall(step.after)}.difference(_DIGEST.findall(step.before)))
        for step in group.steps
    )


def builds(radius: Radius) -> list[list[Rebuild]]:
    """Put together the images that are built for the same reasons, in build order."""
    found: dict[tuple[str, ...], list[Rebuild]] = {}
    for one in radius.rebuilt:
        found.setdefault(one.reasons, []).append(one)
    return [*found.values()]


def short(digest: Digest | None) -> str:
    """Write a digest so that it fits a line."""
    return str(digest)[:_SHORT] if digest else "none"


def pin(move: PinMove) -> str:
    """Name a parent that moved, and what it replaces."""
    replaces = f" (replaces {move.replaces})" if move.replaces else ""
    moved = f": {move.kind}" if move.kind is not Kind.CHANGED else ""
    digest = f": digest {short(move.before)} → {short(move.after)}, and no pin" if _is_digest(move) else ""
    return f"{move.parent}{moved}{replaces}{digest}"


def _is_digest(move: PinMove) -> bool:
    """Whether the parent's own digest moved alone."""
    return move.kind is Kind.CHANGED and not move.platforms and not move.replaces


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


def image(one: Rebuild) -> str:
    """Name an image that is built, with its last build's seconds where they are known."""
    return one.image + (f" ({one.seconds:.0f} s last time)" if one.seconds is not None else "")
