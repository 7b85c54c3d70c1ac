"""Pin parents in the lock: add missing pins, move them on request, or check that they are current.

`lock` and `upgrade` compute the changes; `write` saves them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

from dfgen.catalog.lockfile import LOCK_FILE, Candidate, Lock, LockedParent, Pin
from dfgen.catalog.model import Catalog, Parent
from dfgen.concurrent import attempt
from dfgen.errors import CheckError, DfgenError, ExternalError, InputError, Place, Problem, counted, listing
from dfgen.filetree import files
from dfgen.oci.digest import Digest
from dfgen.oci.images import Puller, Remote, configuration_of
from dfgen.oci.manifest import Index, Manifest
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference, Repository
from dfgen.registry import Quota, Registry
from dfgen.untrusted import read_json

Result = TypeVar("Result")

_THREADS = 16  # as many as the client keeps connections
_MAX_UNLISTED = 16  # index entries without a platform that are read for it, two requests each
_FEW_PARENTS = 10  # up to this many, the first refused pull comes about as early as a quota warning would
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?=T)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Locking:
    """How to lock; `today` is a date, YYYY-MM-DD.

    `uneven` moves a parent even if only some of its platforms moved. `min_age` is the number of days since
    dfgen first saw a digest before a pin moves to it. `built` returns the entry of a family of this catalog,
    by version name, or None if it is not built.
    """

    registry: Registry
    today: str
    uneven: bool = False
    min_age: int = 0
    built: Callable[[str], LockedParent | None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A parent whose pins changed; `old` is None if it had no pins."""

    key: str
    old: LockedParent | None
    new: LockedParent


@dataclass(frozen=True, slots=True, kw_only=True)
class LockChanges:
    """The new lock, and what changed.

    `held` has the reason for each parent whose pins were kept although its tag moved. `unbuilt` are families
    without a pin because they are not built yet, `unused` the entries that no image uses any more. `failed`
    has the errors of the parents that could not be resolved; the others are in the new lock.
    """

    lock: Lock
    moved: tuple[Moved, ...]
    held: Mapping[str, str] = field(default_factory=dict)
    unbuilt: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    failed: DfgenError | None = None


def lock(catalog: Catalog, old: Lock, how: Locking) -> LockChanges:
    """Pin the parents and platforms that have no pin; existing pins stay."""
    unpinned = [parent for parent in required_parents(catalog) if not _is_pinned(parent, old)]
    return _changes(catalog, old, _run(unpinned, lambda parent: _pin(parent, old, how)), how)


def upgrade(catalog: Catalog, old: Lock, how: Locking, names: Sequence[str] = ()) -> LockChanges:
    """Move the pins of the named parents, by default of all; one HEAD for a parent that did not move."""
    parents = _select(required_parents(catalog), names)
    return _changes(catalog, old, _run(parents, lambda parent: _move(parent, old, how)), how)


def check(catalog: Catalog, old: Lock, how: Locking) -> None:
    """Compare the lock with the registries; one HEAD for a parent that did not move.

    Raises CheckError with every parent that has no pin or has moved. If a parent cannot be resolved, raises
    its error instead, which also lists these problems.
    """
    problems: list[Problem] = []

    def compare(parent: RequiredParent) -> None:
        locked, current = old.parents[parent.key], _move(parent, old, how)
        if isinstance(current, _Held):
            problems.append(Problem(parent.place, f"{parent.key} is being updated: {current.reason}"))
        elif current != locked:
            moved = f"locked {locked.digest}, now {current.digest}"
            fix = f"run `dfgen lock --upgrade {parent.key}`"
            problems.append(Problem(parent.place, f"{parent.key} has moved: {moved}; {fix}"))

    parents = required_parents(catalog)
    for parent in parents:
        problems.extend(_unpinned(parent, old))
    _, failed = _run([parent for parent in parents if _is_pinned(parent, old)], compare)
    if failed:
        raise type(failed)([*sorted(problems), *failed.problems])
    if problems:
        raise CheckError(sorted(problems))


def write(root: Path, old: Lock, new: Lock) -> None:
    """Write the lock file, unless its text stays the same."""
    if new.to_text() != old.to_text():
        files.write(root / LOCK_FILE, new.to_text())


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredParent:
    """An upstream parent of the catalog, with its mirror if it has one, and the platforms it is used for."""

    key: str
    reference: Reference
    platforms: tuple[Platform, ...]
    place: Place


def required_parents(catalog: Catalog) -> tuple[RequiredParent, ...]:
    """List the upstream parents of a catalog, each once with all its platforms."""
    uses: dict[str, list[Parent]] = {}
    for parent in catalog.upstream_parents():
        uses.setdefault(parent.key, []).append(parent)
    return tuple(
        RequiredParent(
            key=key,
            reference=catalog.mirrored(parents[0].reference),
            platforms=tuple(sorted({parent.platform for parent in parents})),
            place=parents[0].place,
        )
        for key, parents in sorted(uses.items())
    )


def _select(parents: Sequence[RequiredParent], names: Sequence[str]) -> list[RequiredParent]:
    """Select parents by name, by default all. Raises InputError if a name matches none."""
    if not names:
        return list(parents)
    found: list[RequiredParent] = []
    for name in names:
        reference = Reference.parse(name)
        # Parsing adds :latest; a name without a tag selects all tags in use.
        any_tag = reference == Reference(reference.repository, "latest") and not name.endswith(":latest")
        matches = [
            parent
            for parent in parents
            if parent.key == str(reference)
            or (any_tag and Reference.parse(parent.key).repository == reference.repository)
        ]
        if not matches:
            used = listing(parent.key for parent in parents)
            raise InputError(f"unknown parent {name!r}; the catalog uses {used}")
        found.extend(matches)
    return list(dict.fromkeys(found))


def _unpinned(parent: RequiredParent, old: Lock) -> Iterable[Problem]:
    missing = [platform for platform in parent.platforms if not _has_pin(parent, platform, old)]
    if missing:
        message = f"parent {parent.key} has no pin for {listing(map(str, missing))}; run `dfgen lock`"
        yield Problem(parent.place, message)


def _is_pinned(parent: RequiredParent, old: Lock) -> bool:
    return all(_has_pin(parent, platform, old) for platform in parent.platforms)


def _has_pin(parent: RequiredParent, platform: Platform, old: Lock) -> bool:
    return parent.key in old.parents and platform in old.parents[parent.key].platforms


@dataclass(frozen=True, slots=True)
class _Held:
    """A parent whose pins stay although its tag moved; `locked` is its entry, with the new candidate."""

    reason: str
    locked: LockedParent


def _pin(parent: RequiredParent, old: Lock, how: Locking) -> LockedParent:
    locked = old.parents.get(parent.key)
    if locked is None:
        return _resolve(parent, parent.reference, how)
    # A new platform of a pinned parent is read from the locked index: `lock` never moves existing pins.
    added = _resolve(parent, parent.reference.at(locked.digest), how)
    return replace(locked, platforms={**added.platforms, **locked.platforms})


def _move(parent: RequiredParent, old: Lock, how: Locking) -> LockedParent | _Held:
    """Return the current pins of a parent, equal to the lock's entry if it did not move."""
    locked = old.parents.get(parent.key)
    if locked is None or not _is_pinned(parent, old):
        return _resolve(parent, parent.reference, how)
    if how.registry.resolve(parent.reference).digest == locked.digest:
        return replace(locked, candidate=None)
    new = _resolve(parent, parent.reference, how)
    moved = [one for one in parent.platforms if new.platforms[one].digest != locked.platforms[one].digest]
    if not moved:
        return replace(locked, candidate=None)  # only platforms moved that the catalog does not use
    if len(moved) < len(parent.platforms) and not how.uneven:
        # Upstream often publishes one architecture after another; all are pinned from the same build.
        rest = listing(str(one) for one in parent.platforms if one not in moved)
        fix = f"wait, or run `dfgen lock --upgrade {parent.key} --uneven`"
        return _Held(f"only {listing(map(str, moved))} moved, not {rest}; {fix}", locked)
    return _hold_back_young(new, locked, how)


def _hold_back_young(new: LockedParent, locked: LockedParent, how: Locking) -> LockedParent | _Held:
    """Hold back new pins that were first seen less than `min_age` days ago; the candidate keeps the date."""
    known = locked.candidate
    first_seen = known.first_seen if known and known.digest == new.digest else how.today
    due = date.fromisoformat(first_seen) + timedelta(days=how.min_age)
    if not how.min_age or due <= date.fromisoformat(how.today):
        return replace(new, first_seen=first_seen)
    reason = f"{new.digest} was first seen on {first_seen}; it can be pinned from {due}"
    return _Held(reason, replace(locked, candidate=Candidate(new.digest, first_seen)))


def _resolve(parent: RequiredParent, reference: Reference, how: Locking) -> LockedParent:
    """Read a parent with one GET and pin the manifest of every required platform."""
    document = how.registry.manifest(reference)
    if isinstance(document, Manifest):
        platform = _configured_platform(parent, document, how.registry)
        pins = {platform: Pin(document.descriptor.digest, document.descriptor.size)}
    else:
        pins = _index_pins(parent, document, how.registry)
    missing = [platform for platform in parent.platforms if platform not in pins]
    if missing:
        found = listing(str(platform) for platform in sorted(pins))
        message = f"parent {parent.key} has no image for {listing(map(str, missing))}; it has {found}"
        raise InputError(Problem(parent.place, message))
    return LockedParent(
        digest=document.descriptor.digest,
        media_type=document.media_type,
        first_seen=how.today,
        platforms={platform: pins[platform] for platform in parent.platforms},
    )


def _index_pins(parent: RequiredParent, index: Index, registry: Registry) -> dict[Platform, Pin]:
    """Pin the images of an index; if a platform is missing, entries without a platform are read for it."""
    # Reversed, because the first entry of a platform counts, as for other clients.
    usable = [entry for entry in index.images if not entry.is_index]
    pins = {entry.platform: Pin(entry.digest, entry.size) for entry in reversed(usable) if entry.platform}
    for entry in [entry for entry in usable if not entry.platform][:_MAX_UNLISTED]:
        if all(platform in pins for platform in parent.platforms):
            break
        with suppress(CheckError):  # not an image, for example a signature or a chart
            found = registry.manifest(Reference(parent.reference.repository, digest=entry.digest))
            if isinstance(found, Manifest):
                platform = _configured_platform(parent, found, registry)
                pins.setdefault(platform, Pin(entry.digest, entry.size))
    return pins


def _configured_platform(parent: RequiredParent, manifest: Manifest, registry: Registry) -> Platform:
    reader = Remote(registry, parent.reference.repository)
    return Platform.from_json(configuration_of(f"parent {parent.key}", manifest, reader))


def _changes(
    catalog: Catalog,
    old: Lock,
    resolved: tuple[Sequence[tuple[RequiredParent, LockedParent | _Held]], DfgenError | None],
    how: Locking,
) -> LockChanges:
    results, failed = resolved
    found, unbuilt = _pin_families(catalog, old, how)
    held: dict[str, str] = {}
    for parent, result in results:
        if isinstance(result, _Held):
            held[parent.key] = result.reason
        found[parent.key] = result.locked if isinstance(result, _Held) else result
    used = frozenset(parent.key for image in catalog.images for parent in image.all_parents)
    changed = {key: entry for key, entry in sorted(found.items()) if entry != old.parents.get(key)}
    return LockChanges(
        lock=old.with_parents(found).only(used),
        moved=tuple(Moved(key=key, old=old.parents.get(key), new=entry) for key, entry in changed.items()),
        held=held,
        unbuilt=unbuilt,
        unused=tuple(sorted(set(old.parents) - used)),
        failed=failed,
    )


def _pin_families(
    catalog: Catalog, old: Lock, how: Locking
) -> tuple[dict[str, LockedParent], tuple[str, ...]]:
    """Pin the parents that are built families of this catalog; also return those that are not built."""
    parents = (parent for image in catalog.images for parent in image.all_parents if parent.family)
    keys = sorted({parent.key for parent in parents if old.pin(parent) is None})
    entries = {key: how.built(key) for key in keys}
    found = {key: entry for key, entry in entries.items() if entry}
    return found, tuple(key for key in keys if key not in found)


def _run(
    parents: Sequence[RequiredParent], work: Callable[[RequiredParent], Result]
) -> tuple[list[tuple[RequiredParent, Result]], DfgenError | None]:
    """Run work for all parents concurrently; return the results, and the failures as one error."""
    results: list[tuple[RequiredParent, Result]] = []
    failures: list[tuple[RequiredParent, DfgenError]] = []
    for parent, result in zip(parents, attempt(work, parents, _THREADS), strict=True):
        if isinstance(result, DfgenError):
            failures.append((parent, result))
        else:
            results.append((parent, result))
    return results, _combined(failures) if failures else None


def _combined(failures: Sequence[tuple[RequiredParent, DfgenError]]) -> DfgenError:
    """Combine errors; the highest exit code decides the class, and a shared problem is reported once."""
    worst = max((error for _, error in failures), key=lambda error: error.exit_code)
    shared: dict[object, tuple[Problem, list[RequiredParent]]] = {}
    for parent, error in failures:
        # The messages of an unreachable host differ (tries, seconds), so these are deduplicated by the host.
        host = error.unreachable if isinstance(error, ExternalError) else ""
        hint = "; `make demo` needs no registry" if host else ""
        for problem in error.problems:
            hinted = replace(problem, message=f"{problem.message}{hint}")
            shared.setdefault(host or problem, (hinted, []))[1].append(parent)
    problems = [_with_parents(problem, parents) for problem, parents in shared.values()]
    kind = ExternalError if isinstance(worst, ExternalError) else type(worst)
    return kind(sorted(problems, key=str))


def _with_parents(problem: Problem, parents: Sequence[RequiredParent]) -> Problem:
    """Add the affected parents: the place of a single one, else their names."""
    if len(parents) == 1:
        return replace(problem, place=problem.place or parents[0].place)
    names = ", ".join(sorted(parent.key for parent in parents))
    return replace(problem, message=f"{problem.message} (affected parents: {names})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """The size of an image's compressed layers in bytes, and the date (YYYY-MM-DD) it was created.

    None if unknown: the image no longer exists, or its configuration has no valid date.
    """

    size: int | None = None
    created: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PinChange:
    """A pin that changed, for one platform; `old` is None if it is new.

    `rebuilds` are the names of the images that have to be rebuilt. `facts` are those of the old and the new
    image, if they were read.
    """

    key: str
    platform: Platform
    old: Digest | None
    new: Digest
    rebuilds: tuple[str, ...]
    facts: tuple[ImageFacts, ImageFacts] | None = None


def pin_changes(catalog: Catalog, moved: Sequence[Moved]) -> list[PinChange]:
    """List the pins that moved or are new, with the images that are built on them."""
    users: dict[tuple[str, Platform], dict[str, None]] = {}
    for image in catalog.images:
        for parent in image.all_parents:
            users.setdefault((parent.key, parent.platform), {})[image.name] = None
    found: list[PinChange] = []
    for one in moved:
        before = one.old.platforms if one.old else {}
        for platform, pin in one.new.platforms.items():
            old = before.get(platform)
            if old != pin:
                change = PinChange(
                    key=one.key,
                    platform=platform,
                    old=old.digest if old else None,
                    new=pin.digest,
                    rebuilds=tuple(users.get((one.key, platform), ())),
                )
                found.append(change)
    return found


def with_facts(catalog: Catalog, changes: Sequence[PinChange], registry: Puller) -> list[PinChange]:
    """Add the facts of the images to the upstream pins that moved; new pins cost no request.

    Costs two GETs per image. Never raises: what cannot be read is unknown.
    """
    upstream = {one.key: catalog.mirrored(one.reference).repository for one in catalog.upstream_parents()}
    images = dict.fromkeys(
        (upstream[change.key], digest)
        for change in changes
        if change.old and change.key in upstream
        for digest in (change.old, change.new)
    )
    results = attempt(lambda image: _facts(*image, registry), images)
    facts = {
        image: ImageFacts() if isinstance(result, DfgenError) else result
        for image, result in zip(images, results, strict=True)
    }

    def add_facts(change: PinChange) -> PinChange:
        if not change.old or change.key not in upstream:
            return change
        repository = upstream[change.key]
        return replace(change, facts=(facts[repository, change.old], facts[repository, change.new]))

    return [add_facts(change) for change in changes]


def _facts(repository: Repository, digest: Digest, registry: Puller) -> ImageFacts:
    manifest = registry.manifest(Reference(repository, digest=digest))
    if not isinstance(manifest, Manifest):
        return ImageFacts()
    try:
        created = _DATE.match(read_json(registry.blob(repository, manifest.config))["created"])
    except (DfgenError, ValueError, LookupError, TypeError):
        created = None
    return ImageFacts(
        size=sum(layer.size for layer in manifest.layers), created=created[0] if created else None
    )


def quota_warnings(catalog: Catalog, old: Lock, registry: Registry) -> Iterator[str]:
    """Yield a warning for each registry whose pull quota is too small for the parents without a pin.

    Costs one HEAD, which is not a pull, per registry with more than ten such parents.
    """
    unpinned = {
        parent.key: catalog.mirrored(parent.reference)
        for parent in catalog.upstream_parents()
        if old.pin(parent) is None
    }
    by_registry: dict[str, list[Reference]] = {}
    for _, reference in sorted(unpinned.items()):
        by_registry.setdefault(reference.repository.registry, []).append(reference)
    for host, references in by_registry.items():
        quota = registry.fetch_quota(references[0]) if len(references) > _FEW_PARENTS else None
        if quota and quota.remaining < len(references):
            yield _quota_warning(host, quota, len(references))


def _quota_warning(host: str, quota: Quota, needed: int) -> str:
    window = f" per {quota.window / 3600:g} h" if quota.window else ""
    return (
        f"{host}: {counted(needed, 'parent')} to resolve, but only {quota.remaining} of {quota.limit}"
        f" pulls{window} left; run `docker login {host}`, wait, or set a mirror under `mirrors` in"
        " catalog.yaml"
    )
