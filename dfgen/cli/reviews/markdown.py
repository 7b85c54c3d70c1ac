"""A review as a comment on a pull request: whole sections or none, and no text but dfgen's own is markup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dfgen.cli.reviews import words
from dfgen.reviewing.records import Group, Review
from dfgen.values.finding import Finding, Level

LIMIT = 65_536  # characters of a comment on GitHub; counted in bytes here, which is never less
_LEFT = 200  # bytes for the line that says what was left out
_LONGEST = 400  # characters of a line
_LISTED = 200  # lines of a folded list
_OPEN = 14  # lines of a hunk that is shown without a click
_HUNK = 150
_MARKS = {Level.ERROR: "❌", Level.WARNING: "⚠️", Level.NOTE: "ℹ️"}  # noqa: RUF001


def _visible(text: str) -> str:
    """Escape what is not printable: line breaks, and characters that turn the direction of writing."""
    shown = "".join(one if one.isprintable() or one == "\t" else repr(one)[1:-1] for one in text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def _marks(text: str, least: int) -> str:
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))


def code(text: str) -> str:
    """Write text of a catalog in code marks that it cannot close; nothing in them is markup or a mention."""
    shown = _visible(text)
    if not shown.strip():
        return ""
    marks = _marks(shown, 1)
    return f"{marks} {shown} {marks}" if "`" in shown else f"{marks}{shown}{marks}"


def _fence(lines: Sequence[str]) -> str:
    shown = "\n".join(_visible(line) for line in lines[:_HUNK])
    marks = _marks(shown, 3)
    more = f"\n\n{words.count(len(lines) - _HUNK, 'more line')}." if len(lines) > _HUNK else ""
    return f"{marks}diff\n{shown}\n{marks}{more}"


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _listed(found: Sequence[str]) -> str:
    more = [f"- and {len(found) - _LISTED} more"] if len(found) > _LISTED else []
    return "\n".join([*(f"- {code(one)}" for one in found[:_LISTED]), *more])


def _risk(risk: Finding) -> str:
    generated = f" (in {code(str(risk.generated))})" if risk.generated else ""
    return f"- {_MARKS[risk.level]} {code(str(risk.place))} {code(risk.message)} {code(risk.rule)}{generated}"


def _group(group: Group) -> str:
    differs = "**differs from the rest** " if group.outlier else ""
    parts = [f"{differs}**{words.times(group)}** {code(group.title)}"]
    if group.hunk:
        name, body = f"Change of {words.count(len(group.hunk), 'line')}", _fence(group.hunk)
        parts.append(body if len(group.hunk) <= _OPEN else _folded(name, body))
    parts.append(
        _folded(f"{len(group.files)} files", _listed(group.files))
        if len(group.files) > 1
        else f"in {code(group.files[0])}"
    )
    return "\n\n".join(parts)


def _pins(review: Review) -> Iterator[str]:
    for move in review.pins:
        lines = [
            f"- {code(words.pin(move))}",
            *(f"  - {code(words.platform(one))}" for one in move.platforms),
        ]
        yield "\n".join(lines)


def _blocks(review: Review) -> Iterator[str]:
    """Yield sections that each are whole; a heading goes with what it heads."""
    for title, found in (
        ("Risks", [_risk(one) for one in review.risks]),
        ("Changes", [_group(one) for one in review.groups]),
        ("Pins", [*_pins(review)]),
    ):
        yield from (f"### {title}\n\n{one}" if not at else one for at, one in enumerate(found))
    if rebuilt := review.radius.rebuilt:
        yield _folded(words.to_build(review.radius), _listed([*map(words.rebuild, rebuilt)]))
    if removed := review.radius.removed:
        yield _folded(f"{words.count(len(removed), 'image')} removed", _listed(removed))
    if review.notes:
        yield _folded(words.count(len(review.notes), "note"), _listed(review.notes))


def markdown(review: Review, limit: int = LIMIT) -> str:
    """Write a review in at most `limit` bytes; what does not fit is left out whole, and counted."""
    text, left = f"**dfgen review**: {words.summary(review)}\n", 0
    for block in _blocks(review):
        goes_on = block.startswith("- ") and text.splitlines()[-1].lstrip().startswith("- ")
        longer = f"{text}{'' if goes_on else chr(10)}{block}\n"
        if left or len(longer.encode()) > limit - _LEFT:
            left += 1
            continue
        text = longer
    return text + (f"\n{words.count(left, 'more part')} left out: a comment is limited.\n" if left else "")
