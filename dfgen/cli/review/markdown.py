"""A review as a comment on a pull request: whole parts or none, and no text but dfgen's own is markup."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from dfgen.cli.review import text as words
from dfgen.commands.review.records import Group, Kind, PinMove, Rebuild, Review
from dfgen.findings import Finding, Level

LIMIT = 65_536  # characters of a comment on GitHub; counted in bytes here, which is never less
_LEFT = 300  # bytes for the line that says what was left out
_LONGEST = 400  # characters of a line
_LISTED = 200  # lines of a list
_OPEN = 14  # lines of a hunk that is shown without a click
_SHOWN = 3  # changes whose hunk is shown without a click
_HUNK = 150  # lines of a hunk
_ROOM = 12_000  # bytes of a list or hunk, so that one alone never takes all of the room
_MARKS = {Level.ERROR: "❌", Level.WARNING: "⚠️", Level.NOTE: "ℹ️"}  # noqa: RUF001

Section = tuple[str, str, list[str]]  # its heading, what one of its parts is, and the parts


def _visible(text: str) -> str:
    shown = words.visible(text)
    left = len(shown) - _LONGEST
    return shown if left <= 0 else f"{shown[:_LONGEST]}… ({words.count(left, 'more character')})"


def _marks(text: str, least: int) -> str:
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))


def code(text: str) -> str:
    """Write text of a catalog in code marks that it cannot close; nothing in them is markup or a mention."""
    shown = _visible(text)
    if not shown.strip():
        return ""
    marks = _marks(shown, 1)
    return f"{marks} {shown} {marks}" if "`" in shown else f"{marks}{shown}{marks}"


def _fitting(lines: Sequence[str], most: int) -> int:
    """How many lines fit, of `most` at most."""
    room = _ROOM
    for at, line in enumerate(lines[:most]):
        room -= len(line.encode()) + 1
        if room < 0:
            return at
    return min(len(lines), most)


def _fence(lines: Sequence[str]) -> str:
    shown = [*map(_visible, lines)]
    fitting = _fitting(shown, _HUNK)
    text = "\n".join(shown[:fitting])
    marks = _marks(text, 3)
    left = len(shown) - fitting
    more = f"\n\n{words.count(left, 'more line')}." if left else ""
    return f"{marks}diff\n{text}\n{marks}{more}"


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _listed(found: Sequence[str]) -> str:
    lines = [f"- {code(one)}" for one in found]
    fitting = _fitting(lines, _LISTED)
    more = [f"- and {len(lines) - fitting} more"] if fitting < len(lines) else []
    return "\n".join([*lines[:fitting], *more])


def _risk(found: Sequence[Finding]) -> str:
    """Write what is wrong, once, and where; further places are folded."""
    first = found[0]
    generated = f" (in {code(str(first.generated))})" if first.generated else ""
    times = f" **{words.times(found)}**" if len(found) > 1 else ""
    line = f"{_MARKS[first.level]}{times} {code(str(first.place))} {code(first.message)} {code(first.rule)}"
    if len(found) == 1:
        return f"- {line}{generated}"
    places = [f"{one.place}{f' (in {one.generated})' if one.generated else ''}" for one in found]
    return f"{line}{generated}\n\n{_folded(f'{len(found)} places', _listed(places))}"


def _group(group: Group, *, is_open: bool) -> str:
    differs = ", differs from the rest:" if group.outlier else ""
    alone = f" in {code(group.files[0])}" if len(group.files) == 1 else ""
    parts = [f"**{words.times(group.files)}**{differs} {code(group.title)}{alone}"]
    if hunk := words.hunk(group):
        body, short = _fence(hunk), len(hunk) <= _OPEN
        shown = is_open and short and group.kind in (Kind.CHANGED, Kind.ADDED)
        parts.append(body if shown else _folded(f"Difference of {words.count(len(hunk), 'line')}", body))
    if not alone:
        parts.append(_folded(f"{len(group.files)} files", _listed(group.files)))
    return "\n\n".join(parts)


def _pin(move: PinMove) -> str:
    inside = "\n".join(f"  - {code(words.platform(one))}" for one in move.platforms)
    return f"- {code(words.pin(move))}\n{inside}".rstrip()


def _builds(found: Sequence[Sequence[Rebuild]]) -> str:
    """List the images that are built below the reasons that they share."""
    lines: list[str] = []
    for images in found:
        lines.append(f"- **{words.times(images)}** {' '.join(map(code, images[0].reasons))}")
        lines += [f"  - {code(words.image(one))}" for one in images]
    fitting = _fitting(lines, _LISTED)
    left = sum(line.startswith(" ") for line in lines[fitting:])
    return "\n".join([*lines[:fitting], *([f"- and {left} more"] if left else [])])


def _sections(review: Review) -> Iterator[Section]:
    """Yield what a comment has, the most important first."""
    yield "### Risks\n\n", "risk", [_risk(one) for one in words.alike(review.risks)]
    yield (
        "### Changes\n\n",
        "change",
        [
            _group(one, is_open=at < _SHOWN and not words.told_by_pins(one, review))
            for at, one in enumerate(review.groups)
        ],
    )
    yield "### Pins\n\n", "pin", [_pin(one) for one in review.pins]
    if rebuilt := words.builds(review.radius):
        yield "", "list of images to build", [_folded(words.to_build(review.radius), _builds(rebuilt))]
    if removed := review.radius.removed:
        title = f"{words.count(len(removed), 'image')} removed"
        yield "", "list of images removed", [_folded(title, _listed(removed))]
    if review.notes:
        yield "", "list of notes", [_folded(words.count(len(review.notes), "note"), _listed(review.notes))]


def markdown(review: Review, limit: int = LIMIT) -> str:
    """Write a review in at most `limit` bytes; what does not fit is left out whole, and counted."""
    text, left = f"**dfgen review**: {words.summary(review)}\n", Counter[str]()
    for heading, what, parts in _sections(review):
        begun = False
        for part in parts:
            longer = f"{text}{_before(part, text)}{part}\n" if begun else f"{text}\n{heading}{part}\n"
            if len(longer.encode()) > limit - _LEFT:
                left[what] += 1
            else:
                text, begun = longer, True
    counted = ", ".join(words.count(number, what) for what, number in left.items())
    return text + (f"\nLeft out, for a comment is limited: {counted}.\n" if left else "")


def _before(part: str, text: str) -> str:
    """What parts a part from the text before it: the items of a list stand close together."""
    return "" if part.startswith("- ") and text.splitlines()[-1].lstrip().startswith("- ") else "\n"
