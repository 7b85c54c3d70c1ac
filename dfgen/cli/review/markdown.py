"""A review as a comment on a pull request, limited in size; text from the catalog cannot become markup."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from dfgen.cli.review import text as words
from dfgen.commands.review.records import Group, Kind, PinMove, Rebuild, Review
from dfgen.errors import counted
from dfgen.findings import Finding, Level

LIMIT = 65_536  # characters of a comment on GitHub; bytes are counted here, never fewer than characters
_RESERVE = 300  # bytes for the line that counts what was left out
_MAX_LINE = 400  # characters
_MAX_LIST = 200  # lines of a list
_MAX_HUNK = 150  # lines of a hunk
_MAX_BYTES = 12_000  # of a list or hunk, so that a single one cannot fill the comment
_OPEN_LINES = 14  # longer hunks are folded
_OPEN_GROUPS = 3  # hunks of further changes are folded
_MARKS = {Level.ERROR: "❌", Level.WARNING: "⚠️", Level.NOTE: "ℹ️"}  # noqa: RUF001

Section = tuple[str, str, list[str]]  # heading, name of a part in the singular, parts


def _visible(text: str) -> str:
    shown = words.visible(text)
    left = len(shown) - _MAX_LINE
    return shown if left <= 0 else f"{shown[:_MAX_LINE]}… ({counted(left, 'more character')})"


def _marks(text: str, least: int) -> str:
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))


def code(text: str) -> str:
    """Put text into code marks that it cannot close: neither markup nor mentions work inside of them."""
    shown = _visible(text)
    if not shown.strip():
        return ""
    # More backticks than any run inside close the code: https://spec.commonmark.org/0.31.2/#code-spans
    marks = _marks(shown, 1)
    return f"{marks} {shown} {marks}" if "`" in shown else f"{marks}{shown}{marks}"


def _fitting(lines: Sequence[str], most: int) -> int:
    """Return how many lines fit, at most `most`."""
    room = _MAX_BYTES
    for at, line in enumerate(lines[:most]):
        room -= len(line.encode()) + 1
        if room < 0:
            return at
    return min(len(lines), most)


def _fence(lines: Sequence[str]) -> str:
    shown = [*map(_visible, lines)]
    fitting = _fitting(shown, _MAX_HUNK)
    text = "\n".join(shown[:fitting])
    marks = _marks(text, 3)
    left = len(shown) - fitting
    more = f"\n\n{counted(left, 'more line')}." if left else ""
    return f"{marks}diff\n{text}\n{marks}{more}"


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _listed(found: Sequence[str]) -> str:
    lines = [f"- {code(one)}" for one in found]
    fitting = _fitting(lines, _MAX_LIST)
    more = [f"- and {len(lines) - fitting} more"] if fitting < len(lines) else []
    return "\n".join([*lines[:fitting], *more])


def _risk(found: Sequence[Finding]) -> str:
    """Format risks with the same message as one; several places are folded."""
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
        body, short = _fence(hunk), len(hunk) <= _OPEN_LINES
        shown = is_open and short and group.kind in (Kind.CHANGED, Kind.ADDED)
        parts.append(body if shown else _folded(f"Diff of {counted(len(hunk), 'line')}", body))
    if not alone:
        parts.append(_folded(f"{len(group.files)} files", _listed(group.files)))
    return "\n\n".join(parts)


def _pin(move: PinMove) -> str:
    inside = "\n".join(f"  - {code(words.platform(one))}" for one in move.platforms)
    return f"- {code(words.pin(move))}\n{inside}".rstrip()


def _builds(found: Sequence[Sequence[Rebuild]]) -> str:
    """List the images to build below their common reasons."""
    lines: list[str] = []
    for images in found:
        lines.append(f"- **{words.times(images)}** {' '.join(map(code, images[0].reasons))}")
        lines += [f"  - {code(words.image(one))}" for one in images]
    fitting = _fitting(lines, _MAX_LIST)
    left = sum(line.startswith(" ") for line in lines[fitting:])
    return "\n".join([*lines[:fitting], *([f"- and {left} more"] if left else [])])


def _sections(review: Review) -> Iterator[Section]:
    """Yield the sections of a comment, the most important first."""
    yield "### Risks\n\n", "risk", [_risk(one) for one in words.alike(review.risks)]
    yield (
        "### Changes\n\n",
        "change",
        [
            _group(one, is_open=at < _OPEN_GROUPS and not words.is_pin_move(one, review))
            for at, one in enumerate(review.groups)
        ],
    )
    yield "### Pins\n\n", "pin", [_pin(one) for one in review.pins]
    if rebuilt := words.builds(review.impact):
        yield "", "list of images to build", [_folded(words.to_build(review.impact), _builds(rebuilt))]
    if removed := review.impact.removed:
        title = f"{counted(len(removed), 'image')} removed"
        yield "", "list of images removed", [_folded(title, _listed(removed))]
    if review.notes:
        yield "", "list of notes", [_folded(counted(len(review.notes), "note"), _listed(review.notes))]


def markdown(review: Review, limit: int = LIMIT) -> str:
    """Format a review in at most `limit` bytes; a part that does not fit is left out and counted."""
    text, left = f"**dfgen review**: {words.summary(review)}\n", Counter[str]()
    for heading, what, parts in _sections(review):
        begun = False
        for part in parts:
            longer = f"{text}{_before(part, text)}{part}\n" if begun else f"{text}\n{heading}{part}\n"
            if len(longer.encode()) > limit - _RESERVE:
                left[what] += 1
            else:
                text, begun = longer, True
    parts_left = ", ".join(counted(number, what) for what, number in left.items())
    return text + (f"\nLeft out, because the size of a comment is limited: {parts_left}.\n" if left else "")


def _before(part: str, text: str) -> str:
    """Return an empty line before a part, except between the items of a list."""
    return "" if part.startswith("- ") and text.splitlines()[-1].lstrip().startswith("- ") else "\n"
