"""Review: what a change of the catalog does, for the person who reviews the pull request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from dfgen.catalog import layers
from dfgen.catalog.model import BASES, CATALOG_FILE, Catalog, Family, Image
from dfgen.commands.render import Rendering, render
from dfgen.commands.review import pins
from dfgen.commands.review.diff import groups
from dfgen.commands.review.impact import Comparison, impact_of, inputs
from dfgen.commands.review.records import Impact, Kind, PinMove, Review, Sources, State
from dfgen.commands.review.risks import architectures, catalog, instructions
from dfgen.commands.review.risks.packages import packages
from dfgen.commands.review.risks.pins import RISKS, Locks
from dfgen.errors import InputError, Place, Problem, listing, printable
from dfgen.findings import Finding, Level

Problems = tuple[Problem, ...]

_MAX_NAMES = 5  # names in a note
_CATALOG_SETTINGS = ("builders", "build_cache", "insecure_registries", "lists_packages")
_YAML_NAMES = {"lists_packages": "sbom"}
_NOT_RENDERED = "nothing was rendered, so stale Dockerfiles are not reported"
_NOT_INSPECTED = (
    "no registry was contacted, so changes inside the parents and the platforms of new pins are unknown; use"
    " --online"
)
_NOT_RESOLVED = (
    "no registry was contacted, so it is unknown whether the tags still point to their pins; use --online"
)


def review(before: State, after: State, sources: Sources | None = None) -> Review:
    """Compare two states of a catalog. Problems of a state become risks or notes; they are never raised."""
    sources = _cached(sources or Sources())
    found, group_notes = groups(before, after)
    moves = pins.moves(before, after) if after.lock.parents or not after.problems else ()
    if sources.inspect:
        moves = pins.with_details(moves, pins.references(before, after), sources.inspect)
    compared = _compared(before, after)
    rendering, problems = _rendered(after, sources)
    results = (*rendering.files, *rendering.compared) if rendering else ()
    rendered = {file.path: file.new for file in results if file.new is not None}
    waiting = {one.image.path: one.text for one in rendering.waiting} if rendering else {}
    for path in waiting:
        rendered.pop(path, None)
    unrendered = _unrendered(before, after, compared, rendered) if rendering or problems else []
    if compared:
        paths = frozenset(image.path for image in unrendered)
        compared = replace(compared, rendered=rendered, waiting=waiting, unrendered=paths)
    # The texts of changed images that wait for a parent: checked, but not part of the diff.
    drafts = {image.path: waiting[image.path] for image in unrendered if image.path in waiting}
    texts = {**rendered, **drafts}
    impact = impact_of(compared, sources.seconds) if compared else Impact()
    impact = replace(impact, partial=compared is None or bool(after.problems))
    risks = [
        *_broken(after.problems),
        *_broken(problems),
        *(_broken(tuple(compared.broken_package_locks())) if compared else ()),
        *_of_locks(Locks(before=before, after=after, sources=sources)),
        *catalog.of_files(before, after, results),
        *(catalog.immutable(compared, impact) if compared else ()),
        *(packages(compared) if compared else ()),
        *(catalog.end_of_life(compared, impact, sources.today) if compared and sources.today else ()),
        *instructions.of_groups(before, after, found),
        *_undeclared(before, after, texts, sources),
    ]
    risks += architectures.uneven(after, found, risks)
    # The lines of these are lines of rendered texts, not of committed files.
    in_rendered = [
        *(catalog.context(compared) if compared else ()),
        *instructions.of_waiting(before, drafts),
    ]
    if sources.origins:
        origins, now = cache(sources.origins), {**after.dockerfiles, **rendered, **waiting}
        risks = [*catalog.at_templates(risks, after, rendered, origins)]
        in_rendered = [*catalog.at_templates(in_rendered, replace(after, dockerfiles=now), {}, origins)]
    risks += in_rendered
    notes = [*package_notes(compared), *setting_notes(compared.old, compared.new)] if compared else []
    if rendering:
        notes[:0] = unrendered_notes(unrendered, after)
    return Review(
        groups=found,
        pins=moves,
        impact=impact,
        risks=tuple(sorted(dict.fromkeys(risks), key=_order)),
        notes=(*notes, *_unknown(before, sources, moves, compared), *group_notes),
        uninspected=0 if sources.inspect else sum(move.kind is not Kind.REMOVED for move in moves),
        unchanged=sum(before.dockerfiles.get(path) == text for path, text in after.dockerfiles.items()),
    )


def _cached(sources: Sources) -> Sources:
    """Cache the registry's responses: several risks need the same ones."""
    inspect = cache(sources.inspect) if sources.inspect else None
    return replace(sources, inspect=inspect, resolve=cache(sources.resolve) if sources.resolve else None)


def _compared(before: State, after: State) -> Comparison | None:
    """Return None if a catalog cannot be loaded.

    An old state without a catalog and without any Dockerfile counts as an empty one: every image is new.
    """
    new = after.catalog
    old = before.catalog or (replace(new, families={}, images=()) if new and not before.dockerfiles else None)
    return Comparison(before=before, after=after, old=old, new=new) if old and new else None


def _rendered(after: State, sources: Sources) -> tuple[Rendering | None, Problems]:
    """Render the new state as `dfgen render --check` does; None if that is impossible."""
    # Without a readable lock, every parent would be reported as unpinned.
    if not after.catalog or not sources.templates or after.problems:
        return None, ()
    try:
        images, existing = after.catalog.images, after.dockerfiles
        return render(after.catalog, images, after.lock, sources.templates, existing), ()
    except InputError as error:
        return None, error.problems


def _unrendered(
    before: State, after: State, compared: Comparison | None, rendered: Mapping[str, str]
) -> list[Image]:
    """Return the changed images that were not rendered; without an old state, every image is changed."""
    old, new = before.dockerfiles, after.dockerfiles
    images = after.catalog.images if after.catalog else ()
    return [
        image
        for image in images
        if image.path not in rendered
        and (compared is None or old.get(image.path) != new.get(image.path) or any(inputs(compared, image)))
    ]


# Risks.


def _broken(problems: Problems) -> Iterator[Finding]:
    for one in problems:
        place = one.place or Place("bases/")
        yield Finding(rule="broken", level=Level.ERROR, message=one.message, place=place)


def _of_locks(locks: Locks) -> Iterator[Finding]:
    for risk in RISKS:
        yield from risk(locks)
    yield from catalog.wrong_from(locks)


def _undeclared(
    before: State, after: State, rendered: Mapping[str, str], sources: Sources
) -> Sequence[Finding]:
    """Find undeclared differences between the platforms of each version with a changed image."""
    if not after.catalog or not sources.parity or not rendered:
        return ()
    old, images = before.dockerfiles, after.catalog.images
    versions = {one.merged_name for one in images if old.get(one.path) != rendered.get(one.path)}
    return sources.parity([one for one in images if one.merged_name in versions], rendered)


def _order(risk: Finding) -> tuple[int, Place, str, str]:
    """Sort by severity, then by place."""
    return [*Level].index(risk.level), risk.place, risk.rule, risk.message


# Notes.


def unrendered_notes(images: Sequence[Image], after: State) -> Iterator[str]:
    """Name the images that cannot be rendered yet because a parent has to be built first."""
    parents = {one.key: None for image in images for one in image.all_parents if after.lock.pin(one) is None}
    if parents:
        names = _first([one.name for one in images])
        yield (
            f"not rendered yet, so checked but not shown: {names}; build {listing(parents)} first: run `dfgen"
            " build` and commit the Dockerfiles that it renders"
        )


def package_notes(of: Comparison) -> Iterator[str]:
    """Report each package that moved in a package lock, once for all images that have the same move."""
    moved: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for image in of.new.images:
        for move in of.package_moves(image):
            platforms, names = moved.setdefault(str(move), ({}, {}))
            platforms[image.platform.row.dockerfile] = None
            names[image.merged_name] = None
    for text, (platforms, names) in sorted(moved.items()):
        yield f"package {text} ({', '.join(sorted(platforms))}): {_first([*names])}"
    switched = [
        one.merged_name
        for one in of.new.images
        if one.name in of.earlier and of.earlier[one.name].locks_packages and not one.locks_packages
    ]
    if switched:
        yield f"package_lock is switched off: {_first([*dict.fromkeys(switched)])}"


def setting_notes(old: Catalog, new: Catalog) -> Iterator[str]:
    """Report changed settings that no Dockerfile shows, for example the registry and the smoke tests."""
    if old.registry != new.registry:
        yield f"images will be published to {new.registry} instead of {old.registry}"
    for name in _CATALOG_SETTINGS:
        if getattr(old, name) != getattr(new, name):
            yield f"{CATALOG_FILE}: {_YAML_NAMES.get(name, name)} changed"
    yield from _renamed(old, new)
    for name, family in new.families.items():
        if name in old.families:
            yield from _of_family(old.families[name], family)
            yield from _ignored_rules(old, new, family)
    yield from _of_images(old, new)


def _renamed(old: Catalog, new: Catalog) -> Iterator[str]:
    """Report renamed families: that the old image names are removed is easily overlooked."""
    removed = {name: _content(old, name) for name in old.families if name not in new.families}
    for name in new.families:
        if name not in old.families:
            content = _content(new, name)
            was = next((one for one, other in removed.items() if other and other == content), None)
            if was:
                yield (
                    f"{BASES}/{was} was renamed to {BASES}/{name}: its images get new names, and the old"
                    " names are no longer built"
                )


def _content(of: Catalog, family: str) -> list[tuple[object, ...]]:
    """Return what the images of a family are made from, apart from the family's name."""
    return [
        (one.version, one.platform, one.template, [parent.key for parent in one.all_parents], one.packages)
        for one in of.images
        if one.family.name == family
    ]


def _of_family(old: Family, new: Family) -> Iterator[str]:
    if old.architecture_independent != new.architecture_independent:
        yield f"{new.base_file}: architecture_independent is now {str(new.architecture_independent).lower()}"


def _ignored_rules(old: Catalog, new: Catalog, family: Family) -> Iterator[str]:
    before = _ignores(old, family.name)
    for (version, rule), reason in _ignores(new, family.name).items():
        if (version, rule) not in before:
            where = f" for version {version}" if version else ""
            yield f"{family.base_file}: disables the lint rule {rule}{where}: {reason}"


def _ignores(catalog: Catalog, family: str) -> dict[tuple[str, str], str]:
    """Return the reasons of ignored lint rules, by version ("" for all) and rule."""
    found = {}
    for image in (one for one in catalog.images if one.family.name == family):
        for rule, (reason, layer) in layers.ignored(image.layers).items():
            found["" if layer.path == () else image.version, rule] = reason
    return found


def _of_images(old: Catalog, new: Catalog) -> Iterator[str]:
    """Report changes of images, each once for all versions that have it."""
    earlier = {image.name: image for image in old.images}
    found: dict[str, dict[str, None]] = {}
    for image in new.images:
        was = earlier.get(image.name)
        for change in _of_image(was, image) if was else ():
            found.setdefault(change, {})[image.merged_name] = None
    for change, names in found.items():
        yield f"{change}: {_first([*names])}"


def _of_image(old: Image, new: Image) -> Iterator[str]:
    if old.tests != new.tests:
        yield "smoke tests changed"
    if old.immutable != new.immutable:
        yield "now immutable" if new.immutable else "no longer immutable"
    for pattern, reason in new.foreign_programs.items():
        if pattern not in old.foreign_programs:
            yield f"programs for any architecture are allowed at {printable(pattern)}: {printable(reason)}"
    if old.end_of_life != new.end_of_life:
        yield f"end_of_life {old.end_of_life or 'none'} → {new.end_of_life or 'none'}"


def _first(names: Sequence[str]) -> str:
    left = len(names) - _MAX_NAMES
    return f"{', '.join(names[:_MAX_NAMES])} and {left} more" if left > 0 else listing(names)


def _unknown(
    before: State, sources: Sources, moves: Sequence[PinMove], compared: Comparison | None
) -> Iterator[str]:
    """Report what the review could not find out."""
    if before.problems:
        effect = "every image counts as new" if compared else "the images to rebuild are unknown"
        yield f"the old state cannot be loaded, so {effect}: {before.problems[0]}"
    if sources.templates is None:
        yield _NOT_RENDERED
    if any(move.kind is not Kind.REMOVED for move in moves):
        if sources.inspect is None:
            yield _NOT_INSPECTED
        if sources.resolve is None:
            yield _NOT_RESOLVED
