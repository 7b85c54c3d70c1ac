"""Sentences and grouping that all output formats of a review share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from dfgen.commands.review.diff import is_pin
from dfgen.commands.review.records import Group, Impact, Kind, PinMove, PlatformMove, Rebuild, Review
from dfgen.errors import counted
from dfgen.findings import Finding, Level
from dfgen.oci.digest import Digest

_SHORT_DIGEST = len("sha256:") + 12
_SEAL = re.compile(r"[ +-]# dfgen:sha256:[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PIN_KINDS = {Kind.CHANGED: "moved", Kind.ADDED: "added", Kind.REMOVED: "removed"}


def times(found: Sequence[object]) -> str:
    """Return how many there are, for example `× 2`."""  # noqa: RUF002
    return f"× {len(found)}"  # noqa: RUF001


def visible(text: str) -> str:
    """Escape unprintable characters, for example line breaks and those that change the text direction."""
    return "".join(one if one.isprintable() or one == "\t" else repr(one)[1:-1] for one in text)


def summary(review: Review) -> str:
    """Return one line: risks, changed files, moved pins and images to build."""
    levels = Counter(risk.level for risk in review.risks)
    risks = ", ".join(counted(levels[level], level) for level in Level if levels[level])
    if not risks and (left := review.uninspected):
        were = "was" if left == 1 else "were"
        risks = f"no risks found, but {counted(left, 'pin')} {were} not inspected (use --online)"
    return "; ".join(
        (
            risks or "no risks",
            ", ".join((*_files(review.groups), f"{review.unchanged} unchanged")),
            _pins(review.pins),
            _to_build(review.impact),
        )
    )


def _files(groups: Sequence[Group]) -> Iterator[str]:
    """Count changed, added and removed Dockerfiles; yields `0 Dockerfiles changed` without groups."""
    edited = [group for group in groups if group.kind in (Kind.CHANGED, Kind.COSMETIC)]
    kinds = {
        "changed": edited,
        "added": [group for group in groups if group.kind is Kind.ADDED],
        "removed": [group for group in groups if group.kind is Kind.REMOVED],
    }
    numbers = [(word, sum(len(one.files) for one in found)) for word, found in kinds.items() if found]
    (word, number), *more = numbers or [("changed", 0)]
    yield f"{counted(number, 'Dockerfile')} {word}{_changes(edited)}"
    yield from (f"{number} {word}" for word, number in more)


def _changes(groups: Sequence[Group]) -> str:
    """Return how many different changes there are, unless it is one of a single file."""
    if len(groups) > 1:
        return f" ({len(groups)} different changes)"
    return " (same change)" if groups and len(groups[0].files) > 1 else ""


def _to_build(impact: Impact) -> str:
    if impact.partial and not impact.rebuilt:
        return "images to build unknown"
    built = f"{counted(len(impact.rebuilt), 'image')} to build"
    return f"at least {built}" if impact.partial else f"{built}, {impact.untouched} untouched"


def _pins(moves: Sequence[PinMove]) -> str:
    kinds = Counter(move.kind for move in moves)
    first, *more = [kind for kind in _PIN_KINDS if kinds[kind]] or [Kind.CHANGED]
    words = [f"{counted(kinds[first], 'pin')} {_PIN_KINDS[first]}"]
    return ", ".join([*words, *(f"{kinds[kind]} {_PIN_KINDS[kind]}" for kind in more)])


def alike(risks: Iterable[Finding]) -> list[list[Finding]]:
    """Group risks with the same message, the most severe first."""
    found: dict[tuple[str, str, str], list[Finding]] = {}
    for risk in risks:
        found.setdefault((risk.level, risk.rule, risk.message), []).append(risk)
    return sorted(found.values(), key=lambda one: [*Level].index(one[0].level))


def hunk(group: Group) -> list[str]:
    """Return the group's diff with one line for the file name, and without the seal."""
    names = group.hunk[:2]
    shown = [name for name in names if not name.endswith(" /dev/null")][-1:]
    return [*shown, *(line for line in group.hunk[2:] if not _SEAL.fullmatch(line))]


def is_pin_move(group: Group, review: Review) -> bool:
    """Return whether a group only writes new pins, which the list of pins shows."""
    moved = {str(one.after) for move in review.pins for one in move.platforms}
    return bool(group.steps) and all(
        is_pin(step)
        and moved.issuperset({*_DIGEST.findall(step.after)}.difference(_DIGEST.findall(step.before)))
        for step in group.steps
    )


def builds(impact: Impact) -> list[list[Rebuild]]:
    """Group the images to build by their reasons, in build order."""
    found: dict[tuple[str, ...], list[Rebuild]] = {}
    for one in impact.rebuilt:
        found.setdefault(one.reasons, []).append(one)
    return [*found.values()]


def short(digest: Digest | None) -> str:
    """Return the first characters of a digest, or `none`."""
    return str(digest)[:_SHORT_DIGEST] if digest else "none"


def pin(move: PinMove) -> str:
    """Describe a parent that moved, and the one that it replaces."""
    replaces = f" (replaces {move.replaces})" if move.replaces else ""
    moved = f": {move.kind}" if move.kind is not Kind.CHANGED else ""
    digest = (
        f": digest {short(move.before)} → {short(move.after)}, pins unchanged"
        if _is_digest_only(move)
        else ""
    )
    return f"{move.parent}{moved}{replaces}{digest}"


def _is_digest_only(move: PinMove) -> bool:
    """Return whether the digest of the parent's tag moved, but no pin."""
    return move.kind is Kind.CHANGED and not move.platforms and not move.replaces


def platform(move: PlatformMove) -> str:
    """Describe the move of a pin for one platform, and the changes inside of the parent."""
    inside = f": {'; '.join(move.inside)}" if move.inside else ""
    return f"{move.platform} {short(move.before)} → {short(move.after)}{inside}"


def to_build(impact: Impact) -> str:
    """Count the images to build, with the total duration of their last builds as far as it is known."""
    known = sum(one.seconds is not None for one in impact.rebuilt)
    images = f"{counted(len(impact.rebuilt), 'image')} to build"
    part = f" for {known} of them" if known < len(impact.rebuilt) else ""
    return f"{images}, {impact.seconds:.0f} s in total last time{part}" if known else images


def image(one: Rebuild) -> str:
    """Return the name of an image, with the duration of its last build if it is known."""
    return one.image + (f" ({one.seconds:.0f} s last time)" if one.seconds is not None else "")
