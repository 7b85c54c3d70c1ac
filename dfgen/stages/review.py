"""Review: what a change of the catalog does, for the person who reads the pull request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from dfgen.model.catalog import Image
from dfgen.reviewing import notes, pins
from dfgen.reviewing.grouping import groups
from dfgen.reviewing.radius import Comparison, inputs, radius
from dfgen.reviewing.records import Kind, PinMove, Radius, Review, Sources, State
from dfgen.reviewing.risks import files, images, instructions, parity, templates
from dfgen.reviewing.risks.pins import RISKS, Locks
from dfgen.values.errors import InputError, Place, Problem
from dfgen.values.finding import Finding, Level

Problems = tuple[Problem, ...]

_SILENT = {
    "render": "nothing was rendered: whether the files are what the catalog renders is not known",
    "look": (
        "no registry was asked (--online does): what moved inside the parents, and whether each new pin is"
        " its platform's, is not known"
    ),
    "resolve": (
        "no registry was asked (--online does): whether the tags still point at their pins is not known"
    ),
}


def _problems(problems: Problems) -> Iterator[Finding]:
    for one in problems:
        place = one.place or Place("bases/")
        yield Finding(rule="broken", level=Level.ERROR, message=one.message, place=place)


def _compared(before: State, after: State) -> Comparison | None:
    """Compare the catalogs; None where one cannot be loaded. Where nothing was rendered, all is new."""
    new = after.catalog
    old = before.catalog or (replace(new, families={}, images=()) if new and not before.dockerfiles else None)
    return Comparison(before=before, after=after, old=old, new=new) if old and new else None


def _changed(before: State, after: State, compared: Comparison | None) -> list[Image]:
    """The images whose file may be another one now: all, where there is nothing to compare with."""
    old, new = before.dockerfiles, after.dockerfiles
    images = ((image, image.path) for image in (after.catalog.images if after.catalog else ()))
    return [
        image
        for image, path in images
        if compared is None or old.get(path) != new.get(path) or any(inputs(compared, image))
    ]


def _rendered(images: Sequence[Image], after: State, sources: Sources) -> tuple[Mapping[str, str], Problems]:
    """Render images; without a lock that can be read, every parent would lack its pin."""
    if not images or not sources.render or after.problems:
        return {}, ()
    try:
        return sources.render(images), ()
    except InputError as error:
        return {}, error.problems


def _of_files(before: State, after: State, rendered: Mapping[str, str]) -> Iterator[Finding]:
    yield from files.hand_edited(before, after, rendered)
    yield from files.not_rendered(before, after, rendered)
    yield from files.left_over(before, after)


def _uneven(
    changed: Sequence[Image], after: State, rendered: Mapping[str, str], sources: Sources
) -> Sequence[Finding]:
    """Ask for the differences between the platforms of every version that has a changed image."""
    if not after.catalog or not sources.parity or not rendered:
        return ()
    versions = {image.merged_name for image in changed}
    return sources.parity([one for one in after.catalog.images if one.merged_name in versions], rendered)


def _of_pins(locks: Locks) -> Iterator[Finding]:
    for risk in RISKS:
        yield from risk(locks)
    yield from files.wrong_from(locks)


def _notes(
    before: State, sources: Sources, moves: Sequence[PinMove], compared: Comparison | None
) -> Iterator[str]:
    """Say what could not be told."""
    if before.problems:
        known = "every image counts as new" if compared else "what is rebuilt is not known"
        yield f"the state before cannot be loaded, so {known}: {before.problems[0]}"
    if sources.render is None:
        yield _SILENT["render"]
    if sources.look is None and any(move.kind is not Kind.REMOVED for move in moves):
        yield _SILENT["look"]
    if sources.resolve is None and any(move.kind is not Kind.REMOVED for move in moves):
        yield _SILENT["resolve"]


def _asked_once(sources: Sources) -> Sources:
    """Ask each question once: several risks want to know the same."""
    look = cache(sources.look) if sources.look else None
    return replace(sources, look=look, resolve=cache(sources.resolve) if sources.resolve else None)


def _weight(risk: Finding) -> tuple[int, Place]:
    """What is worst comes first, then what stands first."""
    return [*Level].index(risk.level), risk.place


def review(before: State, after: State, sources: Sources | None = None) -> Review:
    """Compare two states of a catalog. What is wrong with a state is told among the risks, never raised."""
    sources = _asked_once(sources or Sources())
    found, beside = groups(before, after)
    moves = pins.moves(before, after) if after.lock.parents or not after.problems else ()
    if sources.look:
        moves = pins.with_details(moves, pins.references(before, after), sources.look)
    compared = _compared(before, after)
    changed = _changed(before, after, compared)
    rendered, problems = _rendered(changed, after, sources)
    if compared:
        asked = {image.path for image in changed} if sources.render and not after.problems else ()
        compared = replace(compared, rendered=rendered, unrendered=frozenset(asked) - rendered.keys())
    reach = radius(compared, sources.seconds) if compared else Radius()
    reach = replace(reach, partial=compared is None or bool(after.problems))
    risks = [
        *_problems(after.problems),
        *_problems(problems),
        *_of_pins(Locks(before=before, after=after, sources=sources)),
        *_of_files(before, after, rendered),
        *(images.immutable(compared, reach) if compared else ()),
        *(images.context(compared) if compared else ()),
        *instructions.of_groups(before, after, found),
        *_uneven(changed, after, rendered, sources),
    ]
    risks += parity.uneven(after, found, risks)
    if sources.origins:
        risks = [*templates.at_templates(risks, after, rendered, cache(sources.origins))]
    told = [*notes.settings(compared.old, compared.new)] if compared else []
    if sources.render and not problems and not after.problems:
        told[:0] = notes.waiting(changed, after, rendered)
    return Review(
        groups=found,
        pins=moves,
        radius=reach,
        risks=tuple(sorted(dict.fromkeys(risks), key=lambda one: (*_weight(one), one.rule, one.message))),
        notes=(*told, *_notes(before, sources, moves, compared), *beside),
        unchanged=sum(before.dockerfiles.get(path) == text for path, text in after.dockerfiles.items()),
    )
