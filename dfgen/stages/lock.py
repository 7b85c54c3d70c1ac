"""Lock: parents become pins. First what differs is computed, then the caller writes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from dfgen.images.together import attempt
from dfgen.model.catalog import Catalog, Parent
from dfgen.model.lock import Lock, LockedParent, Pin
from dfgen.model.locking import LockChanges, Moved, Want
from dfgen.values.errors import CheckError, DfgenError, InputError, OutsideError, Problem, listing
from dfgen.values.manifest import Descriptor, Index, Manifest
from dfgen.values.platform import Platform
from dfgen.values.reference import Reference, Repository

Result = TypeVar("Result")

_AT_ONCE = 16  # requests under way; registries answer more slowly than this machine asks


class Registry(Protocol):
    """What is asked of a registry to pin a parent."""

    def resolve(self, reference: Reference) -> Descriptor:
        """What a tag points at, by HEAD."""

    def manifest(self, reference: Reference) -> Manifest | Index:
        """A manifest or index, checked against its digest."""

    def blob(self, repository: Repository, descriptor: Descriptor) -> bytes:
        """A small blob, such as an image's configuration."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Locking:
    """How to lock. `today` is a date, YYYY-MM-DD; `done` is told of every parent that was looked at.

    `uneven` moves a parent also when only some of its platforms moved.
    """

    registry: Registry
    today: str
    uneven: bool = False
    built: Callable[[str], LockedParent | None] = lambda _: None
    done: Callable[[str], None] = lambda _: None


def lock(catalog: Catalog, old: Lock, how: Locking) -> LockChanges:
    """Pin the parents, and the platforms of parents, that have no pin; every pin that is there stays."""
    missing = [want for want in wanted(catalog) if not _is_complete(want, old)]
    return _changes(catalog, old, _each(missing, lambda want: _pin(want, old, how), how), how)


def upgrade(catalog: Catalog, old: Lock, how: Locking, only: Sequence[str] = ()) -> LockChanges:
    """Move the pins of all parents, or of those named; one HEAD for a parent that did not change."""
    wants = _named(wanted(catalog), only)
    return _changes(catalog, old, _each(wants, lambda want: _move(want, old, how), how), how)


def check(catalog: Catalog, old: Lock, how: Locking) -> None:
    """Hold the lock against the registries, with one HEAD request for a parent that did not change.

    Errors: CheckError with every parent that has no pin, or of which a platform in use has moved; when a
    parent could not be looked at, the error of that, with the same problems told before it.
    """
    problems: list[Problem] = []

    def compare(want: Want) -> None:
        locked, now = old.parents[want.key], _move(want, old, how)
        if isinstance(now, str):
            problems.append(Problem(want.place, f"{want.key} is moving: {now}"))
        elif now != locked:
            mend = f"`dfgen lock --upgrade {want.key}` moves the pin"
            moved = f"locked {locked.digest}, now {now.digest}"
            problems.append(Problem(want.place, f"{want.key} moved: {moved}; {mend}"))

    for want in wanted(catalog):
        problems.extend(unpinned(want, old))
    _, failed = _each([want for want in wanted(catalog) if _is_complete(want, old)], compare, how)
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


def _named(wants: Sequence[Want], names: Sequence[str]) -> list[Want]:
    if not names:
        return list(wants)
    chosen = {want.key: want for want in wants}
    found: list[Want] = []
    for name in names:
        named = Reference.parse(name)
        # Without a tag, a name is that of all the tags in use.
        whole = named == Reference(named.repository, "latest") and not name.endswith(":latest")
        matches = [
            want
            for want in wants
            if want.key == str(named) or (whole and Reference.parse(want.key).repository == named.repository)
        ]
        if not matches:
            raise InputError(f"no image is built on {name!r}; the parents are {listing(chosen)}")
        found.extend(matches)
    return list(dict.fromkeys(found))


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
        platforms={**more.platforms, **locked.platforms},
    )


def _move(want: Want, old: Lock, how: Locking) -> LockedParent | str:
    """Find the new pins of a parent, or say why it is held back; unchanged, it is the lock's own entry."""
    locked = old.parents.get(want.key)
    if locked is None or not _is_complete(want, old):
        return _resolve(want, want.reference, how)
    if how.registry.resolve(want.reference).digest == locked.digest:
        return locked
    new = _resolve(want, want.reference, how)
    moved = [one for one in want.platforms if new.platforms[one].digest != locked.platforms[one].digest]
    if not moved:
        return locked  # only platforms that nobody here uses
    if len(moved) < len(want.platforms) and not how.uneven:
        still = listing(str(one) for one in want.platforms if one not in moved)
        told = f"only {listing(map(str, moved))} moved, {still} did not yet; architectures move together"
        return f"{told} (`dfgen lock --upgrade {want.key} --uneven` moves it all the same)"
    return new


def _resolve(want: Want, reference: Reference, how: Locking) -> LockedParent:
    """Read a parent with one GET and pick the manifest of every wanted platform."""
    found = how.registry.manifest(reference)
    if isinstance(found, Manifest):
        pins = {
            _only_platform(want, found, how.registry): Pin(found.descriptor.digest, found.descriptor.size)
        }
    else:
        # The first entry of a platform counts, as for every client; an index within the index is no image.
        usable = [entry for entry in found.images if entry.platform and not entry.is_index]
        pins = {entry.platform: Pin(entry.digest, entry.size) for entry in reversed(usable) if entry.platform}
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


def _only_platform(want: Want, manifest: Manifest, registry: Registry) -> Platform:
    """Tell the platform of a tag that is a single image, from its configuration."""
    raw = registry.blob(want.reference.repository, manifest.config)
    try:
        found = Platform.from_json(json.loads(raw))
        if not found.architecture:
            raise ValueError("it names no architecture")
    except (ValueError, AttributeError, RecursionError) as error:
        message = f"parent {want.key} has no image configuration: {error}"
        raise CheckError(Problem(want.place, message)) from error
    return found


def _each(
    wants: Sequence[Want], work: Callable[[Want], Result], how: Locking
) -> tuple[list[tuple[Want, Result]], DfgenError | None]:
    """Work on all parents at once; one failure does not stop the others, and all are told together."""

    def one(want: Want) -> Result:
        try:
            return work(want)
        finally:
            how.done(want.key)

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
        host = error.unreachable if isinstance(error, OutsideError) else ""
        for problem in error.problems:
            told = (
                Problem(problem.place, f"{problem.message}; `make demo` needs no registry")
                if host
                else problem
            )
            same.setdefault(host or problem, (told, []))[1].append(want)
    problems = [_concerning(problem, wants) for problem, wants in same.values()]
    kind = OutsideError if isinstance(worst, OutsideError) else type(worst)
    return kind(sorted(problems, key=str))


def _concerning(problem: Problem, wants: Sequence[Want]) -> Problem:
    """Say which parents a failure concerns: one by its place, several by their names."""
    if len(wants) == 1:
        return Problem(problem.place or wants[0].place, problem.message)
    names = ", ".join(sorted(want.key for want in wants))
    return Problem(problem.place, f"{problem.message} (parents concerned: {names})")


def _changes(
    catalog: Catalog,
    old: Lock,
    answers: tuple[Sequence[tuple[Want, LockedParent | str]], DfgenError | None],
    how: Locking,
) -> LockChanges:
    results, failed = answers
    found: dict[str, LockedParent] = {}
    held: dict[str, str] = {}
    for want, result in results:
        if isinstance(result, str):
            held[want.key] = result
        else:
            found[want.key] = result
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
