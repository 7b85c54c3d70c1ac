"""A review for the terminal: what is wrong first, then what differs, then the rest."""

from __future__ import annotations

from collections.abc import Iterator

import click

from dfgen.cli.reviews import words
from dfgen.reviewing.records import Group, Review
from dfgen.values.errors import printable
from dfgen.values.finding import Level

_COLOURS = {Level.ERROR: "red", Level.WARNING: "yellow", Level.NOTE: "blue"}
_DIFF = {"+": "green", "-": "red", "@": "cyan"}
_FILES = 5
_REBUILT = 20

Line = tuple[str, str | None]


def _group(group: Group) -> Iterator[Line]:
    yield f"{words.times(group)}  {group.title}{'  (differs from the rest)' if group.outlier else ''}", "cyan"
    yield from ((f"    {line}", _DIFF.get(line[:1])) for line in group.hunk)
    yield from ((f"    {path}", None) for path in group.files[:_FILES])
    if len(group.files) > _FILES:
        yield f"    and {len(group.files) - _FILES} more", None


def _lines(review: Review) -> Iterator[Line]:
    yield words.summary(review), None
    yield from ((str(risk), _COLOURS[risk.level]) for risk in review.risks)
    for group in review.groups:
        yield from _group(group)
    for move in review.pins:
        yield words.pin(move), "cyan"
        yield from ((f"    {words.platform(one)}", None) for one in move.platforms)
    rebuilt = review.radius.rebuilt
    yield from ((f"build {words.rebuild(one)}", None) for one in rebuilt[:_REBUILT])
    if len(rebuilt) > _REBUILT:
        yield f"build {len(rebuilt) - _REBUILT} more", None
    if any(one.seconds is not None for one in rebuilt):
        yield words.to_build(review.radius), None
    yield from ((f"removed {name}", None) for name in review.radius.removed)
    yield from ((f"note: {note}", None) for note in review.notes)


def tell(review: Review) -> None:
    """Print a review for a person; control characters of a catalog's text are escaped."""
    for line, colour in _lines(review):
        click.secho(printable(line), fg=colour)
