"""Risks of images and their files: immutable versions, contexts, stale or edited Dockerfiles, wrong FROMs."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from dfgen.catalog import layers, lifetime
from dfgen.catalog.model import Image
from dfgen.commands.render import Change, File, is_generated, is_intact
from dfgen.commands.review.impact import Comparison
from dfgen.commands.review.records import Impact, State
from dfgen.commands.review.risks import error
from dfgen.commands.review.risks.pins import Locks
from dfgen.errors import InputError, Place, listing, printable
from dfgen.findings import Finding, Level
from dfgen.oci.digest import Digest
from dfgen.oci.platform import Platform

_SEAL = re.compile(r"# dfgen:sha256:[0-9a-f]{64}")
_FROM = re.compile(r"^FROM\s+--platform=(\S+)\s+(\S+)@(sha256:[0-9a-f]{64})", re.MULTILINE | re.IGNORECASE)
# The rules with a place in a Dockerfile.
_RULES = frozenset(
    (
        *("add-url", "arch-change", "checksum", "context", "secret"),
        *("unknown-instruction", "user-root", "verification"),
    )
)

Origins = Callable[[Image], Sequence[Place | None]]


# Images.


def immutable(of: Comparison, impact: Impact) -> Iterator[Finding]:
    """Report immutable versions that change or are removed; `immutable` in the old state counts."""
    changed = {one.image: one.reasons for one in impact.rebuilt}
    changed |= dict.fromkeys(impact.removed, ("it is removed",))
    for version, images in of.old.versions.items():
        touched = [one for one in images if one.immutable and one.name in changed]
        if touched:
            names = listing(str(one.platform) for one in touched)
            reasons = listing(dict.fromkeys(reason for one in touched for reason in changed[one.name]))
            message = f"{version} is immutable but changes for {names}: {reasons}; add a new version instead"
            yield error("immutable", message, _immutable_place(of, touched[0]))


def end_of_life(of: Comparison, impact: Impact, today: str) -> Iterator[Finding]:
    """Report versions that are built again although they, or a parent in the catalog, are past their end."""
    names = {one.image for one in impact.rebuilt}
    rebuilt = [image for image in of.new.images if image.name in names]
    for one in lifetime.endings(rebuilt, of.new.images, today):
        if one.is_over and "end-of-life" not in layers.ignored(one.image.layers):
            yield Finding(rule="end-of-life", level=Level.WARNING, message=one.message, place=one.place)


def _immutable_place(of: Comparison, image: Image) -> Place:
    """Return the place of the `immutable` setting in the new state, else in the old one."""
    now = [one for one in of.new.images if one.name == image.name]
    set_by = (layers.last(one.layers, "immutable") for one in (*now, image))
    return next((found[1].place("immutable") for found in set_by if found), image.place)


def context(of: Comparison) -> Iterator[Finding]:
    """Report sources missing from the context and invalid ignore files, once for all files of a family."""
    merged: dict[tuple[object, ...], list[Place]] = {}
    for image in of.new.images:
        seen: Counter[str] = Counter()
        for problem in of.context_problems(image):
            # The count keeps equal problems of one Dockerfile apart.
            seen[problem.message] += 1
            key = (image.family.name, image.template, problem.message, seen[problem.message])
            merged.setdefault(key, []).append(problem.place or image.place)
    for (_, _, message, _), places in merged.items():
        count = len({place.file for place in places})
        yield error("context", f"{message} (in {count} files)" if count > 1 else f"{message}", places[0])


# Generated files.


def of_files(before: State, after: State, rendered: Sequence[File]) -> Iterator[Finding]:
    """Report files that are stale, edited by hand, or of no version."""
    paths = {file.path for file in rendered}
    yield from _differing(before, rendered)
    yield from _unrendered(before, after, paths)


def _differing(before: State, files: Sequence[File]) -> Iterator[Finding]:
    """Report each file of the new state that `dfgen render --check` rejects."""
    for file in files:
        if file.change is Change.NONE:
            continue
        if file.old is None or file.new is None:
            yield _rejected(file, 0)
        elif file.change is not Change.MERGED and _is_edited(before.dockerfiles.get(file.path), file.old):
            yield _hand_edit(file.path, _first_difference(file.new, file.old))
        else:
            yield _rejected(file, _first_difference(file.new, file.old))


def _unrendered(before: State, after: State, rendered: Collection[str]) -> Iterator[Finding]:
    """Report each changed file that was not rendered, if it was edited by hand or belongs to no version."""
    images = {image.path for image in after.catalog.images} if after.catalog else None
    for path, old, text in _changed(before, after):
        if path in rendered:
            continue
        is_image = images is None or path in images
        # At a path of no image, a file that dfgen did not generate is not an edit: `dfgen render` ignores it.
        if _is_edited(old if is_image else None, text):
            yield _hand_edit(path, _first_difference(old or text, text))
        elif not is_image and (old is None or is_generated(old)):
            yield _of_no_version(path)


def _of_no_version(path: str) -> Finding:
    message = (
        "the file belongs to no version, so it is neither rendered nor built; check whether this is intended"
    )
    return Finding(rule="not-rendered", level=Level.NOTE, message=message, place=Place(path))


def _rejected(file: File, line: int) -> Finding:
    rule = "hand-edited" if file.change is Change.EDITED else "not-rendered"
    return error(rule, f"the file {file.problem.message}", Place(file.path, line))


def _hand_edit(path: str, line: int) -> Finding:
    message = (
        "the generated file was edited by hand; move the change to the template, then `dfgen render --force`"
    )
    return error("hand-edited", message, Place(path, line))


def _is_edited(old: str | None, text: str) -> bool:
    # Without its seal, a file that was generated before counts as edited, too.
    return not is_intact(text) if is_generated(text) else old is not None and is_generated(old)


def _changed(before: State, after: State) -> Iterator[tuple[str, str | None, str]]:
    for path, text in sorted(after.dockerfiles.items()):
        old = before.dockerfiles.get(path)
        if old != text:
            yield path, old, text


def _first_difference(old: str, new: str) -> int:
    """Return the first line of `new` that differs, apart from the seal."""
    pairs = enumerate(zip_longest(old.splitlines(), new.splitlines()), start=1)
    last = len(new.splitlines())
    return next((min(at, last) for at, (one, other) in pairs if one != other and not _seals(one, other)), 1)


def _seals(*lines: str | None) -> bool:
    return all(line and _SEAL.fullmatch(line) for line in lines)


# FROM and the lock.


def wrong_from(locks: Locks) -> Iterator[Finding]:
    """Report each FROM that is pinned to an index, or to the image of another platform."""
    owners = _owners(locks)
    # If the lock itself pins an index, `index_digest` reports it there.
    pinned = {pin.digest for one in locks.after.lock.parents.values() for pin in one.platforms.values()}
    for path, _, text in _changed(locks.before, locks.after):
        for found in _FROM.finditer(text):
            platform, digest = _platform(found[1]), Digest(found[3])
            known = owners.get(digest, set())
            name, place = printable(found[2]), Place(path, text.count("\n", 0, found.start()) + 1)
            if digest in locks.indexes - pinned:
                message = (
                    f"FROM {name} is pinned to an index digest; expected the digest of the"
                    f" {printable(found[1])} image"
                )
                yield error("pin-index", f"{message}; run `dfgen render`", place)
            elif platform and known and platform not in known:
                names = " or ".join(sorted(map(str, known)))
                message = f"FROM {name} for {platform} is pinned to a {names} image"
                yield error("pin-platform", f"{message}; run `dfgen render`", place)


def _owners(locks: Locks) -> dict[Digest, set[Platform]]:
    """Return the platforms for which either lock pins a digest; a wrong pin may be in the new lock only."""
    found: dict[Digest, set[Platform]] = {}
    for state in (locks.before, locks.after):
        for locked in state.lock.parents.values():
            for platform, pin in locked.platforms.items():
                found.setdefault(pin.digest, set()).add(platform)
    return found


def _platform(text: str) -> Platform | None:
    try:
        return Platform.parse(text)
    except InputError:
        return None


# Places in templates.


def at_templates(
    findings: Iterable[Finding], after: State, rendered: Mapping[str, str], origins: Origins
) -> Iterator[Finding]:
    """Move findings in Dockerfiles to the line of the template, with the generated line beside it.

    A line that exists only in a file edited by hand has no template line; its finding stays.
    """
    images = {image.path: image for image in after.catalog.images} if after.catalog else {}
    for one in findings:
        image = images.get(one.place.file) if one.rule in _RULES and one.generated is None else None
        # An unchanged image is not rendered again: its file is what the template renders.
        text = rendered.get(one.place.file, after.dockerfiles.get(one.place.file))
        if image is None or text is None or not one.place.line:
            yield one
            continue
        line = _same_line(after.dockerfiles.get(one.place.file, ""), text, one.place.line)
        places = origins(image) if line else ()
        place = places[line - 1] if line <= len(places) and line else None
        yield replace(one, place=place, generated=one.place) if place else one


def _same_line(committed: str, rendered: str, line: int) -> int:
    """Find a line of the committed file in the rendered text; 0 if it is not there."""
    if committed == rendered:
        return line
    matcher = difflib.SequenceMatcher(None, committed.splitlines(), rendered.splitlines(), autojunk=False)
    blocks = matcher.get_matching_blocks()
    return next((line - at + to for at, to, size in blocks if at < line <= at + size), 0)
