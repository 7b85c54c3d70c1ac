"""Risks of generated files: stale, edited by hand, or with a FROM that is not the lock's."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from dfgen.catalog import layers
from dfgen.catalog.model import Catalog, Image
from dfgen.commands import render as header
from dfgen.commands.render import Change, File
from dfgen.commands.review.diff import is_pin, neutral
from dfgen.commands.review.impact import Comparison
from dfgen.commands.review.records import Group, Kind, Radius, State, Step
from dfgen.commands.review.risks import error
from dfgen.commands.review.risks.pins import Locks
from dfgen.dockerfile.names import platform_names
from dfgen.errors import InputError, Place, listing, printable
from dfgen.findings import Finding, Level
from dfgen.oci.digest import Digest
from dfgen.oci.platform import Platform


def _place(of: Comparison, image: Image) -> Place:
    """Where the version is said to be immutable: now, or before when that is gone."""
    now = [one for one in of.new.images if one.name == image.name]
    set_by = (layers.last(one.layers, "immutable") for one in (*now, image))
    return next((found[1].place("immutable") for found in set_by if found), image.place)


def immutable(of: Comparison, radius: Radius) -> Iterator[Finding]:
    """A version that was promised never to change, and does. One that is no longer immutable counts too."""
    changed = {one.image: one.reasons for one in radius.rebuilt}
    changed |= dict.fromkeys(radius.removed, ("it is removed",))
    for version, images in of.old.versions.items():
        touched = [one for one in images if one.immutable and one.name in changed]
        if touched:
            names = listing(str(one.platform) for one in touched)
            reasons = listing(dict.fromkeys(reason for one in touched for reason in changed[one.name]))
            message = f"{version} is immutable and changes for {names}: {reasons}; add a new version instead"
            yield error("immutable", message, _place(of, touched[0]))


def context(of: Comparison) -> Iterator[Finding]:
    """A source that is missing from the context, or an ignore file that cannot be read; once a family."""
    seen: set[tuple[str, str]] = set()
    for image in of.new.images:
        for problem in of.refused(image):
            key = (image.family.name, problem.message)
            if key not in seen:
                seen.add(key)
                yield error("context", problem.message, problem.place or image.place)


Origins = Callable[[Image], Sequence[Place | None]]

_RULES = frozenset(("add-url", "arch-change", "context", "secret", "unknown-instruction", "user-root"))


def at_templates(
    findings: Iterable[Finding], after: State, rendered: Mapping[str, str], origins: Origins
) -> Iterator[Finding]:
    """Place risks of instructions at the template's line, with the generated line beside it.

    What stands in a file that was edited by hand and not in what is rendered has no other place.
    """
    images = _by_path(after.catalog)
    for one in findings:
        image = images.get(one.place.file) if one.rule in _RULES and one.generated is None else None
        # What did not change is not rendered again: its file is what the template gives.
        text = rendered.get(one.place.file, after.dockerfiles.get(one.place.file))
        if image is None or text is None or not one.place.line:
            yield one
            continue
        line = _same_line(after.dockerfiles.get(one.place.file, ""), text, one.place.line)
        places = origins(image) if line else ()
        place = places[line - 1] if line <= len(places) and line else None
        yield replace(one, place=place, generated=one.place) if place else one


def _by_path(catalog: Catalog | None) -> dict[str, Image]:
    return {image.path: image for image in catalog.images} if catalog else {}


def _same_line(there: str, rendered: str, line: int) -> int:
    """Find a line of a file in what is rendered; 0 when it is not there."""
    if there == rendered:
        return line
    matcher = difflib.SequenceMatcher(None, there.splitlines(), rendered.splitlines(), autojunk=False)
    blocks = matcher.get_matching_blocks()
    return next((line - at + to for at, to, size in blocks if at < line <= at + size), 0)


def _siblings(after: State) -> Mapping[str, list[str]]:
    """The Dockerfiles of each version, by its folder."""
    found: dict[str, list[str]] = {}
    for path in sorted(after.dockerfiles):
        found.setdefault(path.rpartition("/")[0], []).append(path)
    return found


def _family(path: str) -> str:
    return "/".join(path.split("/")[:2])


def _may_differ(step: Step) -> bool:
    return step.keyword == "FROM" or is_pin(step)


def _likeness(group: Group) -> Hashable:
    """What a group's files have in common, whatever each says of its own platform."""
    names = _names(group.files[0].rpartition("_")[2])
    return tuple((step.kind, names(step.before), names(step.after)) for step in group.steps)


def _names(suffix: str) -> Callable[[str], str]:
    """Write one word for all that the platform of a Dockerfile's name is called."""
    try:
        names = platform_names(Platform.parse(suffix))
    except InputError:
        return neutral
    return lambda text: names.sub("<platform>", neutral(text))


def uneven(after: State, groups: Sequence[Group], known: Sequence[Finding]) -> Iterator[Finding]:
    """Tell, once a group, of files whose version has another file that is not of the group.

    That may be meant, so it is a note; a version stands with the first of the groups that have it. FROM,
    digests and the platform's own names may differ. Of versions with a file that is `known` to have something
    else, or of a family whose architectures differ without a word in the catalog, enough is told already.
    """
    siblings = _siblings(after)
    worse = {place.file for one in known for place in (one.place, one.generated) if place}
    unlike = {_family(one.generated.file) for one in known if one.rule == "arch-parity" and one.generated}
    told: set[str] = set()
    alike: dict[Hashable, set[str]] = {}
    for group in groups:
        alike.setdefault(_likeness(group), set()).update(group.files)
    for group in groups:
        if group.kind is not Kind.CHANGED or all(map(_may_differ, group.steps)):
            continue
        if _family(group.files[0]) in unlike:
            continue
        own = alike[_likeness(group)]
        folders = {path.rpartition("/")[0]: path for path in reversed(group.files)}
        odd = {one: path for one, path in folders.items() if not own.issuperset(siblings.get(one, ()))}
        new = sorted(
            path
            for folder, path in odd.items()
            if folder not in told and path not in worse and worse.isdisjoint(siblings.get(folder, ()))
        )
        told.update(odd)
        if new:
            line = next((step.after_line for step in group.steps if step.after_line), 0)
            versions = f" (in {len(new)} versions)" if len(new) > 1 else ""
            message = (
                f"the other architectures do not change in the same way{versions}; see whether that is meant"
            )
            yield Finding(rule="arch-change", level=Level.NOTE, message=message, place=Place(new[0], line))


_FROM = re.compile(r"^FROM\s+--platform=(\S+)\s+(\S+)@(sha256:[0-9a-f]{64})", re.MULTILINE | re.IGNORECASE)
_SEAL = re.compile(r"# dfgen:sha256:[0-9a-f]{64}")


def _first_difference(old: str, new: str) -> int:
    """The first line of `new` that is not as in `old`, beside the seal."""
    pairs = enumerate(zip_longest(old.splitlines(), new.splitlines()), start=1)
    last = len(new.splitlines())
    return next((min(at, last) for at, (one, other) in pairs if one != other and not _sealed(one, other)), 1)


def _sealed(*lines: str | None) -> bool:
    return all(line and _SEAL.fullmatch(line) for line in lines)


def _changed(before: State, after: State) -> Iterator[tuple[str, str | None, str]]:
    for path, text in sorted(after.dockerfiles.items()):
        old = before.dockerfiles.get(path)
        if old != text:
            yield path, old, text


def _edited(old: str | None, text: str) -> bool:
    if header.is_generated(text):
        return not header.is_intact(text)
    return old is not None and header.is_generated(old)


def differing(before: State, files: Sequence[File]) -> Iterator[Finding]:
    """Yield a finding for each file of the state after that `dfgen render --check` refuses."""
    for file in files:
        if file.change is Change.NONE:
            continue
        if file.old is None or file.new is None:
            yield _refused(file, 0)
        elif _edited(before.dockerfiles.get(file.path), file.old):
            yield _hand_edit(file.path, _first_difference(file.new, file.old))
        else:
            yield _refused(file, _first_difference(file.new, file.old))


def hand_edited(before: State, after: State, rendered: Collection[str]) -> Iterator[Finding]:
    """Yield a finding for each other file that changed and has a broken seal.

    `rendered` are the paths of the files that `differing` compares.
    """
    for path, old, text in _changed(before, after):
        if path not in rendered and _edited(old, text):
            yield _hand_edit(path, _first_difference(old or text, text))


def _refused(file: File, line: int) -> Finding:
    rule = "hand-edited" if file.change is Change.EDITED else "not-rendered"
    return error(rule, f"the file {file.problem.message}", Place(file.path, line))


def _hand_edit(path: str, line: int) -> Finding:
    message = (
        "the file is generated and was edited by hand; expected what the catalog renders; move the"
        " change to the template, then `dfgen render --force`"
    )
    return error("hand-edited", message, Place(path, line))


def of_no_version(before: State, after: State, rendered: Collection[str]) -> Iterator[Finding]:
    """Note each new file that belongs to no version of either state and was not generated."""
    if not before.catalog or not after.catalog:
        return
    old, new = ({one.path for one in state.catalog.images} for state in (before, after) if state.catalog)
    known = {*before.dockerfiles, *old, *new, *rendered}
    for path in sorted(after.dockerfiles.keys() - known):
        message = (
            "the file belongs to no version: it is neither rendered nor built; see whether that is meant"
        )
        yield Finding(rule="not-rendered", level=Level.NOTE, message=message, place=Place(path))


def wrong_from(locks: Locks) -> Iterator[Finding]:
    """A FROM whose digest is not the lock's: an index, or the image of another platform."""
    owners = _owners(locks)
    pinned = {pin.digest for one in locks.after.lock.parents.values() for pin in one.platforms.values()}
    for path, _, text in _changed(locks.before, locks.after):
        for found in _FROM.finditer(text):
            platform, digest = _platform(found[1]), Digest(found[3])
            known = owners.get(digest, set())
            name, place = printable(found[2]), Place(path, text.count("\n", 0, found.start()) + 1)
            if digest in locks.indexes - pinned:
                message = (
                    f"FROM {name} is pinned to an index digest; expected the {printable(found[1])} image's"
                )
                yield error("pin-index", f"{message}; run `dfgen render`", place)
            elif platform and known and platform not in known:
                names = " and ".join(sorted(map(str, known)))
                message = f"FROM {name} for {platform} is pinned to the image for {names}"
                yield error("pin-platform", f"{message}; run `dfgen render`", place)


def _owners(locks: Locks) -> dict[Digest, set[Platform]]:
    """The platforms that either lock has a digest for; the one after alone may be the one that is wrong."""
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
