"""Review: what a change of the catalog does, for the person who reads the pull request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from dfgen.catalog.model import Image
from dfgen.commands.render import File, Rendering, render
from dfgen.errors import InputError, Place, Problem
from dfgen.findings import Finding, Level
from dfgen.reviewing import notes, pins
from dfgen.reviewing.grouping import groups
from dfgen.reviewing.radius import Comparison, inputs, radius
from dfgen.reviewing.records import Kind, PinMove, Radius, Review, Sources, State
from dfgen.reviewing.risks import files, images, instructions, parity, templates
from dfgen.reviewing.risks.pins import RISKS, Locks

Problems = tuple[Problem, ...]

_SILENT = {
    "templates": "nothing was rendered: whether the files are what the catalog renders is not known",
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


def _rendered(after: State, sources: Sources) -> tuple[Rendering | None, Problems]:
    """Render the state after and compare, as `dfgen render --check` does; None if that is not possible.

    Without a lock that can be read, every parent would lack its pin.
    """
    if not after.catalog or not sources.templates or after.problems:
        return None, ()
    try:
        images, existing = after.catalog.images, after.dockerfiles
        return render(after.catalog, images, after.lock, sources.templates, existing), ()
    except InputError as error:
        return None, error.problems


def _waiting(
    before: State, after: State, compared: Comparison | None, rendered: Mapping[str, str]
) -> list[Image]:
    """Return the images that change and were not rendered; without a state before, every image changes."""
    old, new = before.dockerfiles, after.dockerfiles
    images = after.catalog.images if after.catalog else ()
    return [
        image
        for image in images
        if image.path not in rendered
        and (compared is None or old.get(image.path) != new.get(image.path) or any(inputs(compared, image)))
    ]


def _of_files(before: State, after: State, files_after: Sequence[File]) -> Iterator[Finding]:
    paths = {file.path for file in files_after}
    yield from files.differing(before, files_after)
    yield from files.hand_edited(before, after, paths)
    yield from files.of_no_version(before, after, paths)


def _uneven(before: State, after: State, rendered: Mapping[str, str], sources: Sources) -> Sequence[Finding]:
    """Find differences between the platforms of every version that has an image which changes."""
    if not after.catalog or not sources.parity or not rendered:
        return ()
    old, images = before.dockerfiles, after.catalog.images
    versions = {one.merged_name for one in images if old.get(one.path) != rendered.get(one.path)}
    return sources.parity([one for one in images if one.merged_name in versions], rendered)


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
    if sources.templates is None:
        yield _SILENT["templates"]
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
    rendering, problems = _rendered(after, sources)
    results = rendering.files if rendering else ()
    rendered = {file.path: file.new for file in results if file.new is not None}
    waiting = _waiting(before, after, compared, rendered) if rendering or problems else []
    if compared:
        paths = frozenset(image.path for image in waiting)
        compared = replace(compared, rendered=rendered, unrendered=paths)
    reach = radius(compared, sources.seconds) if compared else Radius()
    reach = replace(reach, partial=compared is None or bool(after.problems))
    risks = [
        *_problems(after.problems),
        *_problems(problems),
        *_of_pins(Locks(before=before, after=after, sources=sources)),
        *_of_files(before, after, results),
        *(images.immutable(compared, reach) if compared else ()),
        *(images.context(compared) if compared else ()),
        *instructions.of_groups(before, after, found),
        *_uneven(before, after, rendered, sources),
    ]
    risks += parity.uneven(after, found, risks)
    if sources.origins:
        risks = [*templates.at_templates(risks, after, rendered, cache(sources.origins))]
    told = [*notes.settings(compared.old, compared.new)] if compared else []
    if rendering:
        told[:0] = notes.waiting(waiting, after)
    return Review(
        groups=found,
        pins=moves,
        radius=reach,
        risks=tuple(sorted(dict.fromkeys(risks), key=lambda one: (*_weight(one), one.rule, one.message))),
        notes=(*told, *_notes(before, sources, moves, compared), *beside),
        unchanged=sum(before.dockerfiles.get(path) == text for path, text in after.dockerfiles.items()),
    )
