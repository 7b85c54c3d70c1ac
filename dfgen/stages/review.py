"""Review: what a change of the catalog does, for the person who reads the pull request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from dfgen.reviewing import pins
from dfgen.reviewing.grouping import groups
from dfgen.reviewing.radius import Comparison, inputs, radius
from dfgen.reviewing.records import Kind, PinMove, Radius, Review, Sources, State
from dfgen.reviewing.risks import files, images, instructions, parity
from dfgen.reviewing.risks.pins import RISKS, Locks
from dfgen.values.errors import InputError, Place, Problem
from dfgen.values.finding import Finding, Level

_SILENT = {
    "render": "nothing was rendered: whether the files are what the catalog renders is not known",
    "look": "no registry or cache was asked: what moved inside the parents is not known",
    "resolve": "no registry was asked: whether the tags still point at their pins is not known",
}


def _problems(problems: tuple[Problem, ...]) -> Iterator[Finding]:
    for one in problems:
        place = one.place or Place("bases/")
        yield Finding(rule="broken", level=Level.ERROR, message=one.message, place=place)


def _compared(before: State, after: State, sources: Sources) -> tuple[Comparison | None, tuple[Problem, ...]]:
    """Compare the catalogs, and render what may have changed; None where one cannot be loaded."""
    if not before.catalog or not after.catalog:
        return None, ()
    found = Comparison(before=before, after=after, old=before.catalog, new=after.catalog)
    old, new = before.dockerfiles, after.dockerfiles
    paths = ((image, str(image.dockerfile)) for image in after.catalog.images)
    wanted = [
        image for image, path in paths if old.get(path) != new.get(path) or next(inputs(found, image), None)
    ]
    if not wanted or not sources.render:
        return found, ()
    try:
        rendered = sources.render(wanted)
    except InputError as error:
        return found, error.problems
    return Comparison(before=before, after=after, old=found.old, new=found.new, rendered=rendered), ()


def _of_files(before: State, after: State, rendered: Mapping[str, str]) -> Iterator[Finding]:
    yield from files.hand_edited(before, after, rendered)
    yield from files.not_rendered(before, after, rendered)
    yield from files.left_over(before, after)


def _of_pins(locks: Locks) -> Iterator[Finding]:
    for risk in RISKS:
        yield from risk(locks)
    yield from files.wrong_from(locks)


def _notes(before: State, sources: Sources, moves: Sequence[PinMove]) -> Iterator[str]:
    """Say what could not be told."""
    if before.problems:
        yield f"the state before cannot be loaded, so what is rebuilt is not known: {before.problems[0]}"
    if sources.render is None:
        yield _SILENT["render"]
    if sources.look is None and any(move.kind is Kind.CHANGED for move in moves):
        yield _SILENT["look"]
    if sources.resolve is None and any(move.kind is not Kind.REMOVED for move in moves):
        yield _SILENT["resolve"]


def _asked_once(sources: Sources) -> Sources:
    """Ask about each digest once: several risks want to know the same."""
    return replace(sources, look=cache(sources.look)) if sources.look else sources


def review(before: State, after: State, sources: Sources | None = None) -> Review:
    """Compare two states of a catalog. What is wrong with a state is told among the risks, never raised."""
    sources = _asked_once(sources or Sources())
    found, beside = groups(before, after)
    moves = pins.moves(before, after)
    if sources.look:
        moves = pins.with_details(moves, pins.references(before, after), sources.look)
    compared, problems = _compared(before, after, sources)
    reach = radius(compared, sources.seconds) if compared else Radius()
    risks = [
        *_problems(after.problems),
        *_problems(problems),
        *_of_pins(Locks(before=before, after=after, sources=sources)),
        *_of_files(before, after, compared.rendered if compared else {}),
        *(images.immutable(compared, reach) if compared else ()),
        *instructions.of_groups(before, after, found),
    ]
    risks += parity.uneven(after, found, frozenset(risk.place.file for risk in risks))
    return Review(
        groups=found,
        pins=moves,
        radius=reach,
        risks=tuple(sorted(dict.fromkeys(risks), key=lambda one: (one.place, one.rule, one.message))),
        notes=(*_notes(before, sources, moves), *beside),
        unchanged=sum(before.dockerfiles.get(path) == text for path, text in after.dockerfiles.items()),
    )
