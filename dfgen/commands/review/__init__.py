"""Review: what a change of the catalog does, for the person who reads the pull request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from dfgen.catalog.model import BASES, CATALOG_FILE, Catalog, Family, Image
from dfgen.commands.render import File, Rendering, render
from dfgen.commands.review import pins
from dfgen.commands.review.diff import groups
from dfgen.commands.review.impact import Comparison, inputs, radius
from dfgen.commands.review.records import Kind, PinMove, Radius, Review, Sources, State
from dfgen.commands.review.risks import catalog as files
from dfgen.commands.review.risks import catalog as images
from dfgen.commands.review.risks import catalog as parity
from dfgen.commands.review.risks import catalog as templates
from dfgen.commands.review.risks import instructions
from dfgen.commands.review.risks.pins import RISKS, Locks
from dfgen.errors import InputError, Place, Problem, listing, printable
from dfgen.findings import Finding, Level

_SHOWN = 5  # names in a note
_OTHERS = ("builders", "build_cache", "insecure_registries", "lists_packages")
_WRITTEN = {"lists_packages": "sbom"}


def _some(names: Sequence[str]) -> str:
    left = len(names) - _SHOWN
    return f"{', '.join(names[:_SHOWN])} and {left} more" if left > 0 else listing(names)


def waiting_notes(images: Sequence[Image], after: State) -> Iterator[str]:
    """Say which images have no Dockerfile, or the old one, for a parent is to be built first."""
    parents = {one.key: None for image in images for one in image.all_parents if after.lock.pin(one) is None}
    if parents:
        names = _some([one.name for one in images])
        yield (
            f"not rendered yet, so not reviewed: {names}; {listing(parents)} is to be built first; run"
            " `dfgen build`, and commit what it renders"
        )


def setting_notes(old: Catalog, new: Catalog) -> Iterator[str]:
    """Say which settings changed that stand in no Dockerfile: where images go, how they are tested."""
    if old.registry != new.registry:
        yield f"images are published to {new.registry}, and were to {old.registry}"
    for name in _OTHERS:
        if getattr(old, name) != getattr(new, name):
            yield f"{CATALOG_FILE}: {_WRITTEN.get(name, name)} changed"
    yield from _renamed(old, new)
    for name, family in new.families.items():
        if name in old.families:
            yield from _of_family(old.families[name], family)
    yield from _of_images(old, new)


def _renamed(old: Catalog, new: Catalog) -> Iterator[str]:
    """Name families that came and are what another was: that the old names go is easily overlooked."""
    gone = {name: _likeness(old, name) for name in old.families if name not in new.families}
    for name in new.families:
        if name not in old.families:
            was = next((one for one, like in gone.items() if like and like == _likeness(new, name)), None)
            if was:
                yield (
                    f"{BASES}/{name} is {BASES}/{was} renamed: its images get new names, and those of the old"
                    " name are built no more"
                )


def _likeness(of: Catalog, family: str) -> list[tuple[object, ...]]:
    """What a family's images are made from, whatever it is called."""
    return [
        (one.version, one.platform, one.template, [parent.key for parent in one.all_parents], one.packages)
        for one in of.images
        if one.family.name == family
    ]


def _of_family(old: Family, new: Family) -> Iterator[str]:
    for rule, reason in new.lint.items():
        if rule not in old.lint:
            yield f"{new.base_file}: the rule {rule} is switched off: {reason}"
    if old.architecture_independent != new.architecture_independent:
        yield f"{new.base_file}: architecture_independent is {str(new.architecture_independent).lower()} now"


def _of_images(old: Catalog, new: Catalog) -> Iterator[str]:
    """Tell the same of many versions once."""
    earlier = {image.name: image for image in old.images}
    found: dict[str, dict[str, None]] = {}
    for image in new.images:
        was = earlier.get(image.name)
        for what in _of_image(was, image) if was else ():
            found.setdefault(what, {})[image.merged_name] = None
    for what, names in found.items():
        yield f"{what}: {_some([*names])}"


def _of_image(old: Image, new: Image) -> Iterator[str]:
    if old.tests != new.tests:
        yield "other smoke tests"
    if old.immutable != new.immutable:
        yield "immutable from now on" if new.immutable else "no longer immutable"
    for pattern, reason in new.foreign_programs.items():
        if pattern not in old.foreign_programs:
            yield f"programs for any architecture are allowed at {printable(pattern)}: {printable(reason)}"
    if old.end_of_life != new.end_of_life:
        yield f"end_of_life {old.end_of_life or 'none'} → {new.end_of_life or 'none'}"


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
    told = [*setting_notes(compared.old, compared.new)] if compared else []
    if rendering:
        told[:0] = waiting_notes(waiting, after)
    return Review(
        groups=found,
        pins=moves,
        radius=reach,
        risks=tuple(sorted(dict.fromkeys(risks), key=lambda one: (*_weight(one), one.rule, one.message))),
        notes=(*told, *_notes(before, sources, moves, compared), *beside),
        unchanged=sum(before.dockerfiles.get(path) == text for path, text in after.dockerfiles.items()),
    )
