"""Lock: parents become pins. First what differs is computed, then the caller writes it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TypeVar

from dfgen.catalog.lockfile import Candidate, Lock, LockedParent, Pin
from dfgen.catalog.model import Catalog, Parent
from dfgen.concurrent import attempt
from dfgen.errors import CheckError, DfgenError, ExternalError, InputError, Place, Problem, listing
from dfgen.oci.digest import Digest
from dfgen.oci.images import Puller
from dfgen.oci.manifest import Index, Manifest
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference, Repository
from dfgen.registry import Registry
from dfgen.untrusted import read_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A parent that the catalog uses: where it is read, for which platforms, and where it is named."""

    key: str
    reference: Reference
    platforms: tuple[Platform, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Held:
    """A parent whose pins stay, with the reason; `locked` is its entry, with what it waits for."""

    reason: str
    locked: LockedParent


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A parent whose pins differ from the lock's; `old` is None for a parent that had none."""

    key: str
    old: LockedParent | None
    new: LockedParent


@dataclass(frozen=True, slots=True, kw_only=True)
class LockChanges:
    """What locking does: the new lock, what moved, and what could not or should not be moved.

    `held` gives the reason for each parent that was left as it is; `waiting` are families that have not been
    built yet; `unused` are entries that no image uses any more; `failed` tells of the parents that could not
    be pinned, while the others were.
    """

    lock: Lock
    moved: tuple[Moved, ...]
    held: Mapping[str, str] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    failed: DfgenError | None = None


Result = TypeVar("Result")

_AT_ONCE = 16  # requests under way; registries answer more slowly than this machine asks


def wanted(catalog: Catalog) -> tuple[Want, ...]:
    """List the upstream parents of a catalog, each once, with all the platforms it is used for."""
    uses: dict[str, list[Parent]] = {}
    for parent in catalog.upstream_parents():
        uses.setdefault(parent.key, []).append(parent)
    return tuple(
        Want(
            key=key,
            reference=catalog.mirrored(parents[0].reference),
            platforms=tuple(sorted({parent.platform for parent in parents})),
            place=parents[0].place,
        )
        for key, parents in sorted(uses.items())
    )


def named(wants: Sequence[Want], names: Sequence[str]) -> list[Want]:
    """Choose parents by name, all without any. Errors: InputError for a name that is none of them."""
    if not names:
        return list(wants)
    chosen = {want.key: want for want in wants}
    found: list[Want] = []
    for name in names:
        asked = Reference.parse(name)
        # Without a tag, a name is that of all the tags in use.
        whole = asked == Reference(asked.repository, "latest") and not name.endswith(":latest")
        matches = [
            want
            for want in wants
            if want.key == str(asked) or (whole and Reference.parse(want.key).repository == asked.repository)
        ]
        if not matches:
            raise InputError(f"no image is built on {name!r}; the parents are {listing(chosen)}")
        found.extend(matches)
    return list(dict.fromkeys(found))


def each(
    wants: Sequence[Want], work: Callable[[Want], Result], done: Callable[[str], None]
) -> tuple[list[tuple[Want, Result]], DfgenError | None]:
    """Work on all parents at once; one failure does not stop the others, and all are told together."""

    def one(want: Want) -> Result:
        """A parent counts as done when it failed, too."""
        try:
            return work(want)
        finally:
            done(want.key)

    results: list[tuple[Want, Result]] = []
    failures: list[tuple[Want, DfgenError]] = []
    for want, result in zip(wants, attempt(one, wants, _AT_ONCE), strict=True):
        if isinstance(result, DfgenError):
            failures.append((want, result))
        else:
            results.append((want, result))
    return results, _together(failures) if failures else None


def _together(failures: Sequence[tuple[Want, DfgenError]]) -> DfgenError:
    """Join errors into one of the worst kind; a failure that many parents share is told once."""
    worst = max((error for _, error in failures), key=lambda error: error.exit_code)
    same: dict[object, tuple[Problem, list[Want]]] = {}
    for want, error in failures:
        # A host that does not answer fails every parent in its own words (tries, seconds): tell it once.
        host = error.unreachable if isinstance(error, ExternalError) else ""
        for problem in error.problems:
            told = (
                Problem(problem.place, f"{problem.message}; `make demo` needs no registry")
                if host
                else problem
            )
            same.setdefault(host or problem, (told, []))[1].append(want)
    problems = [_concerning(problem, wants) for problem, wants in same.values()]
    kind = ExternalError if isinstance(worst, ExternalError) else type(worst)
    return kind(sorted(problems, key=str))


def _concerning(problem: Problem, wants: Sequence[Want]) -> Problem:
    """Say which parents a failure concerns: one by its place, several by their names."""
    if len(wants) == 1:
        return Problem(problem.place or wants[0].place, problem.message)
    names = ", ".join(sorted(want.key for want in wants))
    return Problem(problem.place, f"{problem.message} (parents concerned: {names})")


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?=T)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """An image's size, that of its compressed layers in bytes, and the date (YYYY-MM-DD) it was created.

    None where it is unknown: the image is gone, or its configuration does not say.
    """

    size: int | None = None
    created: str | None = None


def facts(pins: Iterable[tuple[Repository, Digest]], registry: Puller) -> Mapping[Digest, Facts]:
    """Look at images, all at once: two GETs each, manifest and configuration. Never an error."""
    each = dict.fromkeys(pins)
    found = attempt(lambda pin: _facts(*pin, registry), each)
    return {
        digest: Facts() if isinstance(one, DfgenError) else one
        for (_, digest), one in zip(each, found, strict=True)
    }


def _facts(repository: Repository, digest: Digest, registry: Puller) -> Facts:
    manifest = registry.manifest(Reference(repository, digest=digest))
    if not isinstance(manifest, Manifest):
        return Facts()
    size = sum(layer.size for layer in manifest.layers)
    try:
        created = json.loads(registry.blob(repository, manifest.config))["created"]
        date = _DATE.match(created)
    except (DfgenError, ValueError, LookupError, TypeError, RecursionError):
        date = None
    return Facts(size=size, created=date[0] if date else None)


_UNLISTED = 16  # entries without a platform that are looked at, two requests each


@dataclass(frozen=True, slots=True, kw_only=True)
class Locking:
    """How to lock. `today` is a date, YYYY-MM-DD; `done` is told of every parent that was looked at.

    `uneven` moves a parent also when only some of its platforms moved. `min_age` are the days for which what
    a tag points at has to have been seen before a pin moves to it.
    """

    registry: Registry
    today: str
    uneven: bool = False
    min_age: int = 0
    built: Callable[[str], LockedParent | None] = lambda _: None
    done: Callable[[str], None] = lambda _: None


def lock(catalog: Catalog, old: Lock, how: Locking) -> LockChanges:
    """Pin the parents, and the platforms of parents, that have no pin; every pin that is there stays."""
    missing = [want for want in wanted(catalog) if not _is_complete(want, old)]
    return _changes(catalog, old, each(missing, lambda want: _pin(want, old, how), how.done), how)


def upgrade(catalog: Catalog, old: Lock, how: Locking, only: Sequence[str] = ()) -> LockChanges:
    """Move the pins of all parents, or of those named; one HEAD for a parent that did not change."""
    wants = named(wanted(catalog), only)
    return _changes(catalog, old, each(wants, lambda want: _move(want, old, how), how.done), how)


def check(catalog: Catalog, old: Lock, how: Locking) -> None:
    """Hold the lock against the registries, with one HEAD request for a parent that did not change.

    Errors: CheckError with every parent that has no pin, or of which a platform in use has moved; when a
    parent could not be looked at, the error of that, with the same problems told before it.
    """
    problems: list[Problem] = []

    def compare(want: Want) -> None:
        """A moving tag is told apart from one that has moved."""
        locked, now = old.parents[want.key], _move(want, old, how)
        if isinstance(now, Held):
            problems.append(Problem(want.place, f"{want.key} is moving: {now.reason}"))
        elif now != locked:
            mend = f"`dfgen lock --upgrade {want.key}` moves the pin"
            moved = f"locked {locked.digest}, now {now.digest}"
            problems.append(Problem(want.place, f"{want.key} moved: {moved}; {mend}"))

    for want in wanted(catalog):
        problems.extend(unpinned(want, old))
    _, failed = each([want for want in wanted(catalog) if _is_complete(want, old)], compare, how.done)
    if failed:
        # What was found of the others is told too; the failure's kind has the worse exit code.
        raise type(failed)([*sorted(problems), *failed.problems])
    if problems:
        raise CheckError(sorted(problems))


def unpinned(want: Want, old: Lock) -> Iterable[Problem]:
    """Say which platforms of a parent have no pin."""
    if not _is_complete(want, old):
        lacking = listing(str(platform) for platform in want.platforms if not _has(want, platform, old))
        yield Problem(want.place, f"parent {want.key} has no pin for {lacking}; run `dfgen lock`")


def _has(want: Want, platform: Platform, old: Lock) -> bool:
    return want.key in old.parents and platform in old.parents[want.key].platforms


def _is_complete(want: Want, old: Lock) -> bool:
    return all(_has(want, platform, old) for platform in want.platforms)


def _pin(want: Want, old: Lock, how: Locking) -> LockedParent:
    locked = old.parents.get(want.key)
    if locked is None:
        return _resolve(want, want.reference, how)
    # Another platform of a parent that is pinned already comes from the same index: no pin moves unasked.
    more = _resolve(want, want.reference.at(locked.digest), how)
    return LockedParent(
        digest=locked.digest,
        media_type=locked.media_type,
        first_seen=locked.first_seen,
        candidate=locked.candidate,
        platforms={**more.platforms, **locked.platforms},
    )


def _move(want: Want, old: Lock, how: Locking) -> LockedParent | Held:
    """Find the new pins of a parent, or say why it is held back; unchanged, it equals the lock's entry."""
    locked = old.parents.get(want.key)
    if locked is None or not _is_complete(want, old):
        return _resolve(want, want.reference, how)
    if how.registry.resolve(want.reference).digest == locked.digest:
        return replace(locked, candidate=None)
    new = _resolve(want, want.reference, how)
    moved = [one for one in want.platforms if new.platforms[one].digest != locked.platforms[one].digest]
    if not moved:
        return replace(locked, candidate=None)  # only platforms that nobody here uses
    if len(moved) < len(want.platforms) and not how.uneven:
        still = listing(str(one) for one in want.platforms if one not in moved)
        told = f"only {listing(map(str, moved))} moved, {still} did not yet; architectures move together"
        return Held(f"{told} (`dfgen lock --upgrade {want.key} --uneven` moves it all the same)", locked)
    return _aged(new, locked, how)


def _aged(new: LockedParent, locked: LockedParent, how: Locking) -> LockedParent | Held:
    """Hold new pins back that have not been seen for long enough; the date on which they were is kept."""
    known = locked.candidate
    seen = known.first_seen if known and known.digest == new.digest else how.today
    until = date.fromisoformat(seen) + timedelta(days=how.min_age)
    if not how.min_age or until <= date.fromisoformat(how.today):
        return replace(new, first_seen=seen)
    reason = f"{new.digest} was first seen on {seen}; it is taken from {until} on"
    return Held(reason, replace(locked, candidate=Candidate(new.digest, seen)))


def _resolve(want: Want, reference: Reference, how: Locking) -> LockedParent:
    """Read a parent with one GET and pick the manifest of every wanted platform."""
    found = how.registry.manifest(reference)
    if isinstance(found, Manifest):
        pins = {
            _only_platform(want, found, how.registry): Pin(found.descriptor.digest, found.descriptor.size)
        }
    else:
        pins = _listed(want, found, how.registry)
    lacking = [platform for platform in want.platforms if platform not in pins]
    if lacking:
        has = listing(str(platform) for platform in sorted(pins))
        message = f"parent {want.key} has no {listing(map(str, lacking))}; it has {has}"
        raise InputError(Problem(want.place, message))
    return LockedParent(
        digest=found.descriptor.digest,
        media_type=found.media_type,
        first_seen=how.today,
        platforms={platform: pins[platform] for platform in want.platforms},
    )


def _listed(want: Want, index: Index, registry: Registry) -> dict[Platform, Pin]:
    """Pin what an index lists; entries without a platform are asked for theirs if a wanted one lacks."""
    # The first entry of a platform counts, as for every client; an index within the index is no image.
    usable = [entry for entry in index.images if not entry.is_index]
    pins = {entry.platform: Pin(entry.digest, entry.size) for entry in reversed(usable) if entry.platform}
    for entry in [entry for entry in usable if not entry.platform][:_UNLISTED]:
        if all(platform in pins for platform in want.platforms):
            break
        with suppress(CheckError):  # a signature, a chart: it stands beside the images
            found = registry.manifest(Reference(want.reference.repository, digest=entry.digest))
            if isinstance(found, Manifest):
                pins.setdefault(_only_platform(want, found, registry), Pin(entry.digest, entry.size))
    return pins


def _only_platform(want: Want, manifest: Manifest, registry: Registry) -> Platform:
    """Tell the platform of a tag that is a single image, from its configuration."""
    raw = registry.blob(want.reference.repository, manifest.config)
    try:
        found = Platform.from_json(read_json(raw))
        if not found.architecture:
            raise ValueError("it names no architecture")
    except (ValueError, AttributeError) as error:
        message = f"parent {want.key} has no image configuration: {error}"
        raise CheckError(Problem(want.place, message)) from error
    return found


def _changes(
    catalog: Catalog,
    old: Lock,
    answers: tuple[Sequence[tuple[Want, LockedParent | Held]], DfgenError | None],
    how: Locking,
) -> LockChanges:
    results, failed = answers
    found: dict[str, LockedParent] = {}
    held: dict[str, str] = {}
    for want, result in results:
        if isinstance(result, Held):
            held[want.key] = result.reason
        found[want.key] = result.locked if isinstance(result, Held) else result
    families, waiting = _families(catalog, old, how)
    used = frozenset(parent.key for image in catalog.images for parent in image.all_parents)
    new = old.with_parents({**found, **families})
    changed = {key: entry for key, entry in {**found, **families}.items() if entry != old.parents.get(key)}
    return LockChanges(
        lock=new.only(used),
        moved=tuple(
            Moved(key=key, old=old.parents.get(key), new=entry) for key, entry in sorted(changed.items())
        ),
        held=held,
        waiting=waiting,
        unused=tuple(sorted(set(old.parents) - used)),
        failed=failed,
    )


def _families(catalog: Catalog, old: Lock, how: Locking) -> tuple[dict[str, LockedParent], tuple[str, ...]]:
    """Pin the parents that are families of this catalog, as far as they are built."""
    parents = (parent for image in catalog.images for parent in image.all_parents if parent.family)
    keys = {parent.key for parent in parents if old.pin(parent) is None}
    found: dict[str, LockedParent] = {}
    waiting: list[str] = []
    for key in sorted(keys):
        built = how.built(key)
        if built:
            found[key] = built
        else:
            waiting.append(key)
    return found, tuple(waiting)
