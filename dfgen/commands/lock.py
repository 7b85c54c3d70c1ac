"""Pin parents in the lock: add missing pins, move them on request, or check that they are current.

`lock` and `upgrade` compute the changes; `write` saves them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

from dfgen.catalog.lockfile import LOCK_FILE, Lock, LockedParent, Pin, read_triggers
from dfgen.catalog.model import Catalog, Parent
from dfgen.commands.moved import Moved, read_facts
from dfgen.commands.sightings import Sighting, Sightings, first_sight, seen_again, since_pin
from dfgen.concurrent import attempt, combined
from dfgen.errors import CheckError, DfgenError, ExternalError, InputError, Place, Problem, counted, listing
from dfgen.filetree import files
from dfgen.oci.digest import Digest
from dfgen.oci.images import Puller, Remote, configuration_of, is_plausible
from dfgen.oci.manifest import Index, Manifest
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference
from dfgen.registry import Missing, Quota, Registry

Result = TypeVar("Result")

_THREADS = 16  # as many as the client keeps connections
_MAX_UNLISTED = 16  # index entries without a platform that are read for it, two requests each
_FEW_PARENTS = 10  # up to this many, the first refused pull comes about as early as a quota warning would


@dataclass(frozen=True, slots=True, kw_only=True)
class Locking:
    """How to lock; `today` is a date, YYYY-MM-DD. `puller` reads manifests and configurations of parents.

    `uneven` moves a parent even if only some of its platforms moved. `min_age` is the age in days that a
    digest must have before a pin moves to it, and `seen` are the digests that earlier runs held back.
    `built` returns the entry of a family of this catalog, by version name, or None if it is not built.
    """

    registry: Registry
    puller: Puller
    today: str
    uneven: bool = False
    min_age: int = 0
    seen: Sightings = field(default_factory=dict)
    built: Callable[[str], LockedParent | None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class LockChanges:
    """The new lock, and what changed.

    `held` has the reason for each parent whose pins were kept although its tag moved. `unbuilt` are families
    without a pin because they are not built yet. `removed` are the entries that no image uses any more;
    `kept` are such entries that stay because a parent that may replace them could not be resolved. `failed`
    has the errors of the parents that could not be resolved; the others are in the new lock. `seen` are the
    digests that `min_age` held back, for the next run.
    """

    lock: Lock
    moved: tuple[Moved, ...]
    held: Mapping[str, str] = field(default_factory=dict)
    unbuilt: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    seen: Sightings = field(default_factory=dict)
    failed: DfgenError | None = None


def lock(catalog: Catalog, old: Lock, how: Locking) -> LockChanges:
    """Pin the parents and platforms that have no pin; existing pins stay."""
    unpinned = [parent for parent in required_parents(catalog) if not _is_pinned(parent, old)]
    work = _run(unpinned, lambda parent: _with_triggers(parent, old, _pin(parent, old, how), how))
    return _changes(catalog, old, work, how)


def upgrade(catalog: Catalog, old: Lock, how: Locking, names: Sequence[str] = ()) -> LockChanges:
    """Move the pins of the named parents, by default of all.

    Costs one HEAD for a parent that did not move. For a named one, the pins are also compared with its index,
    and corrected.
    """
    parents, is_named = _select(catalog, names), bool(names)
    work = _run(parents, lambda parent: _with_triggers(parent, old, _move(parent, old, how, is_named), how))
    return _changes(catalog, old, work, how)


def check(catalog: Catalog, old: Lock, how: Locking) -> None:
    """Compare the lock with the registries: one HEAD for each tag that did not move, and one for each pin.

    Raises CheckError with every parent that has no pin or has moved, and every pin that no longer exists. If
    a parent cannot be resolved, raises its error instead, which also lists these problems.
    """
    parents = required_parents(catalog)
    problems = [problem for parent in parents for problem in _unpinned(parent, old)]
    pinned = [parent for parent in parents if _is_pinned(parent, old)]
    results, failed = _run(pinned, lambda parent: [*_drift(parent, old, how), *_lost(parent, old, how)])
    problems.extend(problem for _, found in results for problem in found)
    if failed:
        raise type(failed)([*sorted(problems), *failed.problems])
    if problems:
        raise CheckError(sorted(problems))


def _drift(parent: RequiredParent, old: Lock, how: Locking) -> Iterator[Problem]:
    """Report a parent whose tag moved."""
    locked = old.parents[parent.key]
    try:
        current = _move(parent, old, how)
    except CheckError as error:
        yield from (Problem(one.place or parent.place, one.message) for one in error.problems)
        return
    if current.held and parent.reference.digest:
        yield Problem(parent.place, f"{parent.key}: {current.held}")
    elif current.held:
        yield Problem(parent.place, f"{parent.key} is being updated: {current.held}")
    elif current.locked != locked:
        moved = f"locked {locked.digest}, now {current.locked.digest}"
        fix = f"run `dfgen lock --upgrade {parent.key}`"
        yield Problem(parent.place, f"{parent.key} has moved: {moved}; {fix}")


def _lost(parent: RequiredParent, old: Lock, how: Locking) -> Iterator[Problem]:
    """Report pins that the registry no longer has, for example after a cleanup of untagged images."""
    for platform in parent.platforms:
        digest = old.parents[parent.key].platforms[platform].digest
        if how.registry.find(Reference(parent.reference.repository, digest=digest)) is None:
            fix = f"run `dfgen lock --upgrade {parent.key}`; if nothing moves, use another tag"
            message = f"the pin of {parent.key} for {platform} no longer exists: {digest}; {fix}"
            yield Problem(parent.place, message)


def write(root: Path, old: Lock, new: Lock) -> None:
    """Write the lock file, unless its text stays the same."""
    if old.is_merged or new.to_text() != old.to_text():
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


def _select(catalog: Catalog, names: Sequence[str]) -> list[RequiredParent]:
    """Select parents by name, by default all. Raises InputError if a name matches none."""
    parents = required_parents(catalog)
    if not names:
        return list(parents)
    found: list[RequiredParent] = []
    for name in names:
        matches = [parent for parent in parents if _is_named(parent, name)]
        if not matches:
            raise InputError(_unknown_parent(catalog, parents, name))
        found.extend(matches)
    return list(dict.fromkeys(found))


def _is_named(parent: RequiredParent, name: str) -> bool:
    try:
        reference = Reference.parse(name)
    except InputError:  # for example java-base:21@arm64, which `_unknown_parent` explains
        return False
    # Parsing adds :latest; a name without a tag selects all tags in use.
    any_tag = reference == Reference(reference.repository, "latest") and not name.endswith(":latest")
    same = any_tag and Reference.parse(parent.key).repository == reference.repository
    return parent.key == str(reference) or same


def _unknown_parent(catalog: Catalog, parents: Sequence[RequiredParent], name: str) -> str:
    family = re.split("[:@]", name)[0]
    if family not in catalog.families:
        Reference.parse(name)
        return f"unknown parent {name!r}; the catalog uses {listing(parent.key for parent in parents)}"
    images = [image for image in catalog.images if image.family.name == family]
    keys = {parent.key for image in images for parent in image.all_parents if not parent.family}
    fix = (
        f"to move its parents, run `dfgen lock --upgrade {' '.join(sorted(keys))}`"
        if keys
        else "its parents are families too, whose pins `dfgen build` moves"
    )
    return f"{name!r} is a family of this catalog, not an upstream parent; {fix}"


def _unpinned(parent: RequiredParent, old: Lock) -> Iterable[Problem]:
    missing = [platform for platform in parent.platforms if not _has_pin(parent, platform, old)]
    if missing:
        message = f"parent {parent.key} has no pin for {listing(map(str, missing))}; run `dfgen lock`"
        yield Problem(parent.place, message)


def _is_pinned(parent: RequiredParent, old: Lock) -> bool:
    return all(_has_pin(parent, platform, old) for platform in parent.platforms)


def _has_pin(parent: RequiredParent, platform: Platform, old: Lock) -> bool:
    return parent.key in old.parents and platform in old.parents[parent.key].platforms


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """The new entry of a parent; `held` is the reason if its pins stay although its tag moved."""

    locked: LockedParent
    held: str = ""
    seen: tuple[Sighting, ...] = ()


def _pin(parent: RequiredParent, old: Lock, how: Locking) -> _Result:
    locked = old.parents.get(parent.key)
    if locked is None:
        held = _compare_tag(parent, how)
        if held and (other := _other_tag(parent, old)):
            message = f"parent {parent.key} has the digest of the tag {other}, but {held}"
            raise InputError(Problem(parent.place, message))
        with _existing(parent, is_pinned=False):
            return _Result(locked=_resolve(parent, parent.reference, how), held=held)
    # A new platform of a pinned parent is read from the locked index: `lock` never moves existing pins.
    try:
        return _Result(locked=_complete(parent, locked, how))
    except (InputError, Missing) as error:
        missing = listing(str(one) for one in parent.platforms if one not in locked.platforms)
        why = "no longer exists" if isinstance(error, Missing) else "has no image for it"
        fix = f"run `dfgen lock --upgrade {parent.key}`, which moves all platforms together"
        message = f"{parent.key} cannot be pinned for {missing}: the locked index {why}; {fix}"
        raise CheckError(Problem(parent.place, message)) from None


def _complete(parent: RequiredParent, locked: LockedParent, how: Locking) -> LockedParent:
    """Add the pins of missing platforms from the locked index: the same build as the existing pins."""
    added = _resolve(parent, parent.reference.at(locked.digest), how)
    return replace(locked, platforms={**added.platforms, **locked.platforms})


def _compare_tag(parent: RequiredParent, how: Locking) -> str:
    """Compare the tag of `name:tag@digest` with the digest; return what differs and what to write, or ""."""
    tag, digest = parent.reference.tag, parent.reference.digest
    if not (tag and digest):
        return ""
    now = how.registry.find(parent.reference.without_digest())
    if now is None:
        return f"the tag {tag} does not exist; remove it, or write the tag of the digest"
    if now.digest == digest:
        return ""
    name = Reference.parse(parent.key).at(now.digest)
    return f"the tag {tag} points to another digest; to use it, write `{name}` in base.yaml"


def _other_tag(parent: RequiredParent, old: Lock) -> str:
    """Return another tag of the repository that is locked to the digest of a parent, or ""."""
    own = Reference.parse(parent.key)
    for key, locked in sorted(old.parents.items()):
        other = Reference.parse(key)
        digests = {locked.digest, *(pin.digest for pin in locked.platforms.values())}
        if other.repository == own.repository and other.tag not in ("", own.tag) and own.digest in digests:
            return other.tag
    return ""


def _move(parent: RequiredParent, old: Lock, how: Locking, is_named: bool = False) -> _Result:
    """Return the current pins of a parent, equal to the lock's entry if it did not move."""
    locked = old.parents.get(parent.key)
    if locked is None:
        return _pin(parent, old, how)
    held = _compare_tag(parent, how)
    current = parent.reference.digest if parent.reference.tag else None  # with both, only the tag can move
    if current is None:
        with _existing(parent, is_pinned=True):
            current = how.registry.resolve(parent.reference).digest
    if current == locked.digest:
        if not _is_pinned(parent, old):
            locked = _complete(parent, locked, how)
        locked = _corrected(parent, locked, how) if is_named else locked
        return _Result(locked=locked, held=held, seen=_still_pinned(parent, locked, how))
    if not _is_pinned(parent, old):
        with suppress(InputError, Missing):  # not in the locked index: all platforms have to move together
            locked = _complete(parent, locked, how)
    with _existing(parent, is_pinned=True):
        new = _resolve(parent, parent.reference, how, locked)
    result = _compare(parent, locked, new, how)
    if not _moves(locked, new):
        result = replace(result, seen=_still_pinned(parent, locked, how))
    elif how.min_age:
        result = _of_age(parent, locked, new, result, how)
    missing = [str(one) for one in parent.platforms if one not in result.locked.platforms]
    if result.held and missing:
        result = replace(result, held=f"{result.held}; {listing(missing)} has no pin until then")
    return result


def _still_pinned(parent: RequiredParent, locked: LockedParent, how: Locking) -> tuple[Sighting, ...]:
    seen = since_pin(how.seen.get(parent.key, ()), locked.digest, locked.first_seen, how.today)
    return seen_again(seen, locked.digest, how.today)


def _moves(locked: LockedParent, new: LockedParent) -> bool:
    """Whether an existing pin changes."""
    both = locked.platforms.keys() & new.platforms.keys()
    return any(locked.platforms[one].digest != new.platforms[one].digest for one in both)


def _corrected(parent: RequiredParent, locked: LockedParent, how: Locking) -> LockedParent:
    """Replace pins that differ from the locked index, for example after an edit of the lock by hand."""
    found = _resolve(parent, parent.reference.at(locked.digest), how).platforms
    wrong = {one for one in parent.platforms if locked.platforms[one].digest != found[one].digest}
    return replace(locked, platforms={**locked.platforms, **{one: found[one] for one in wrong}})


def _compare(parent: RequiredParent, locked: LockedParent, new: LockedParent, how: Locking) -> _Result:
    """Return the new pins, or the old ones if no platform in use moved, or only some did."""
    pinned = [one for one in parent.platforms if one in locked.platforms]
    moved = [one for one in pinned if new.platforms[one].digest != locked.platforms[one].digest]
    if not moved and len(pinned) == len(parent.platforms):
        return _Result(locked=locked)
    if 0 < len(moved) < len(pinned) and not how.uneven:
        # Upstream often publishes one architecture after another; all are pinned from the same build.
        rest = listing(str(one) for one in pinned if one not in moved)
        fix = f"wait, or run `dfgen lock --upgrade {parent.key} --uneven`"
        return _Result(locked=locked, held=f"only {listing(map(str, moved))} moved, not {rest}; {fix}")
    return _Result(locked=new)


def _of_age(
    parent: RequiredParent, locked: LockedParent, new: LockedParent, result: _Result, how: Locking
) -> _Result:
    """Return the newest pins that are at least `min_age` days old.

    `new` is what the tag points to now, and `result` how it compares with the locked pins.
    """
    earlier = since_pin(how.seen.get(parent.key, ()), locked.digest, locked.first_seen, how.today)
    # If the tag moved back, digests that it pointed to since are not used any more.
    seen = seen_again(earlier, new.digest, how.today)
    age_from, reason = (seen[-1].age_from, seen[-1].reason) if seen else ("", "")
    if not seen and result.held:
        seen = earlier  # the digest of an index that is incomplete will not last
    elif not seen:
        created = _created(parent, new, how)
        sighting, age_from, reason = first_sight(new.digest, created, earlier, how.today)
        seen = (*earlier, sighting)
    for one in reversed(seen[1:]):
        start = age_from if one.digest == new.digest else one.age_from
        if _due(start, how) <= how.today and (taken := _take(parent, locked, new, one, how)):
            return _Result(locked=taken, seen=seen)
    if not result.held:
        result = _Result(locked=locked, held=f"{reason}; it can be pinned from {_due(age_from, how)}")
    return replace(result, seen=seen)


def _take(
    parent: RequiredParent, locked: LockedParent, new: LockedParent, one: Sighting, how: Locking
) -> LockedParent | None:
    """Return the pins of a digest that is old enough; None if it cannot be used."""
    found = new
    if one.digest != new.digest:
        try:
            found = _resolve(parent, parent.reference.at(one.digest), how)
        except (Missing, CheckError, InputError):
            return None  # deleted since, or without a platform that is in use now
    result = _compare(parent, locked, replace(found, first_seen=one.first_seen), how)
    return None if result.held or result.locked == locked else result.locked


def _due(age_from: str, how: Locking) -> str:
    return str(date.fromisoformat(age_from) + timedelta(days=how.min_age))


def _created(parent: RequiredParent, new: LockedParent, how: Locking) -> str:
    """Return the newest creation date of a parent's images; "" if one has no usable date.

    Costs two GETs per platform.
    """
    found: list[str] = []
    for platform in parent.platforms:
        digest = new.platforms[platform].digest
        with _listed(parent, platform, digest):
            facts = read_facts(parent.reference.repository, digest, how.puller)
        found.append(facts.day if facts.created and is_plausible(facts.created) else "")
    return max(found) if all(found) and max(found) <= how.today else ""


@contextmanager
def _listed(parent: RequiredParent, platform: Platform, digest: Digest) -> Iterator[None]:
    """Report an image that the index lists although it does not exist."""
    try:
        yield
    except Missing:
        message = f"the index of {parent.key} lists {digest} for {platform}, which does not exist"
        raise CheckError(Problem(parent.place, message)) from None


def _with_triggers(parent: RequiredParent, old: Lock, result: _Result, how: Locking) -> _Result:
    """Add the ONBUILD triggers of new pins; those of the others are known.

    Costs two GETs per new pin: the triggers are in the configuration only.
    """
    known = (
        {one.digest: one for one in old.parents[parent.key].platforms.values()}
        if (parent.key in old.parents)
        else {}
    )
    platforms = {}
    for platform, pin in result.locked.platforms.items():
        before = known.get(pin.digest)
        onbuild = before.onbuild if before else _triggers(parent, platform, pin.digest, how.puller)
        platforms[platform] = replace(pin, onbuild=onbuild)
    return replace(result, locked=replace(result.locked, platforms=platforms))


def _triggers(parent: RequiredParent, platform: Platform, digest: Digest, puller: Puller) -> tuple[str, ...]:
    repository = parent.reference.repository
    with _listed(parent, platform, digest):
        manifest = puller.manifest(Reference(repository, digest=digest))
        if not isinstance(manifest, Manifest):
            return ()
        name = f"parent {parent.key}"
        settings = configuration_of(name, manifest, Remote(puller, repository)).get("config")
    try:
        return read_triggers((settings.get("OnBuild") if isinstance(settings, dict) else None) or [])
    except InputError as error:
        raise CheckError(Problem(parent.place, f"{name} for {platform}: {error}")) from None


@contextmanager
def _existing(parent: RequiredParent, is_pinned: bool) -> Iterator[None]:
    """Report a parent that does not exist: invalid input, or a failed check if it existed before."""
    try:
        yield
    except Missing:
        own = Reference.parse(parent.key)
        mirror = "" if own == parent.reference else f" (requested {parent.reference} from the mirror)"
        kind = CheckError if is_pinned else InputError
        found = "no longer exists" if is_pinned else "does not exist"
        fix = "its pins stay; use another tag" if is_pinned else "check the name and the tag"
        raise kind(Problem(parent.place, f"parent {parent.key} {found}{mirror}; {fix}")) from None


def _resolve(
    parent: RequiredParent, reference: Reference, how: Locking, locked: LockedParent | None = None
) -> LockedParent:
    """Read a parent with one GET and pin the manifest of every required platform.

    Raises InputError if it has no image for a platform, CheckError if it had one when it was `locked`.
    """
    document = how.puller.manifest(reference)
    if isinstance(document, Manifest):
        platform = _configured_platform(parent, document, how.puller)
        pins = {platform: Pin(document.descriptor.digest, document.descriptor.size)}
    else:
        pins = _index_pins(parent, document, how.puller)
    missing = [platform for platform in parent.platforms if platform not in pins]
    if missing:
        found = listing(str(platform) for platform in sorted(pins))
        lost = [one for one in missing if locked and one in locked.platforms]
        if lost:
            names = listing(map(str, lost))
            message = f"parent {parent.key} no longer has an image for {names}; it has {found}; its pins stay"
            raise CheckError(Problem(parent.place, message))
        message = f"parent {parent.key} has no image for {listing(map(str, missing))}; it has {found}"
        raise InputError(Problem(parent.place, message))
    return LockedParent(
        digest=document.descriptor.digest,
        media_type=document.media_type,
        first_seen=how.today,
        platforms={platform: pins[platform] for platform in parent.platforms},
    )


def _index_pins(parent: RequiredParent, index: Index, puller: Puller) -> dict[Platform, Pin]:
    """Pin the images of an index; if a platform is missing, entries without a platform are read for it."""
    # Reversed, because the first entry of a platform counts, as for other clients.
    usable = [entry for entry in index.images if not entry.is_index]
    pins = {entry.platform: Pin(entry.digest, entry.size) for entry in reversed(usable) if entry.platform}
    for entry in [entry for entry in usable if not entry.platform][:_MAX_UNLISTED]:
        if all(platform in pins for platform in parent.platforms):
            break
        with suppress(CheckError):  # not an image, for example a signature or a chart
            found = puller.manifest(Reference(parent.reference.repository, digest=entry.digest))
            if isinstance(found, Manifest):
                platform = _configured_platform(parent, found, puller)
                pins.setdefault(platform, Pin(entry.digest, entry.size))
    return pins


def _configured_platform(parent: RequiredParent, manifest: Manifest, puller: Puller) -> Platform:
    reader = Remote(puller, parent.reference.repository)
    return Platform.from_json(configuration_of(f"parent {parent.key}", manifest, reader))


def _changes(
    catalog: Catalog,
    old: Lock,
    resolved: tuple[Sequence[tuple[RequiredParent, _Result]], DfgenError | None],
    how: Locking,
) -> LockChanges:
    results, failed = resolved
    families, unbuilt, errors = _pin_families(catalog, old, how)
    found = {**families, **{parent.key: result.locked for parent, result in results}}
    used = frozenset(parent.key for image in catalog.images for parent in image.all_parents)
    unused = tuple(sorted(set(old.parents) - used))
    # A parent that cannot be resolved may replace an unused one, for example because of a typo in its tag.
    kept = unused if any(key not in old.parents and key not in found for key in _upstream(catalog)) else ()
    changed = {key: entry for key, entry in sorted(found.items()) if entry != old.parents.get(key)}
    return LockChanges(
        lock=old.with_parents(found).only(used.union(kept)),
        moved=tuple(Moved(key=key, old=old.parents.get(key), new=entry) for key, entry in changed.items()),
        held={parent.key: result.held for parent, result in results if result.held},
        unbuilt=unbuilt,
        removed=() if kept else unused,
        kept=kept,
        seen=_seen(results, old, used, how),
        failed=combined([*([failed] if failed else []), *errors]) if errors else failed,
    )


def _upstream(catalog: Catalog) -> Iterator[str]:
    return (parent.key for parent in catalog.upstream_parents())


def _seen(
    results: Sequence[tuple[RequiredParent, _Result]], old: Lock, used: frozenset[str], how: Locking
) -> dict[str, tuple[Sighting, ...]]:
    # Of a parent that is pinned anew, earlier sightings may be of another catalog.
    new = {
        parent.key: result.seen for parent, result in results if how.min_age or parent.key not in old.parents
    }
    return {key: seen for key, seen in {**how.seen, **new}.items() if seen and key in used}


def _pin_families(
    catalog: Catalog, old: Lock, how: Locking
) -> tuple[dict[str, LockedParent], tuple[str, ...], list[DfgenError]]:
    """Pin the parents that are built families of this catalog.

    Also returns those that are not built, and the errors of those that cannot be read.
    """
    parents = (parent for image in catalog.images for parent in image.all_parents if parent.family)
    keys = sorted({parent.key for parent in parents if old.pin(parent) is None})
    results = dict(zip(keys, attempt(how.built, keys, 1), strict=True))
    found = {key: entry for key, entry in results.items() if isinstance(entry, LockedParent)}
    unbuilt = tuple(key for key, entry in results.items() if entry is None)
    return found, unbuilt, [error for error in results.values() if isinstance(error, DfgenError)]


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
        for problem in error.problems:
            shared.setdefault(host or problem, (problem, []))[1].append(parent)
    problems = [_with_parents(problem, parents) for problem, parents in shared.values()]
    kind = ExternalError if isinstance(worst, ExternalError) else type(worst)
    return kind(sorted(problems, key=str))


def _with_parents(problem: Problem, parents: Sequence[RequiredParent]) -> Problem:
    """Add the affected parents: the place of a single one, else their names."""
    if len(parents) == 1:
        return replace(problem, place=problem.place or parents[0].place)
    names = ", ".join(sorted(parent.key for parent in parents))
    return replace(problem, message=f"{problem.message} (affected parents: {names})")


def quota_warnings(catalog: Catalog, old: Lock, registry: Registry) -> Iterator[str]:
    """Yield a warning for each registry whose pull quota is too small for the parents without a pin.

    A parent costs a pull for its index and one for each image, whose ONBUILD triggers are read. Costs one
    HEAD, which is not a pull, per registry with more than ten such parents.
    """
    by_registry: dict[str, list[tuple[Reference, int]]] = {}
    for parent in required_parents(catalog):
        if missing := sum(not _has_pin(parent, platform, old) for platform in parent.platforms):
            host = parent.reference.repository.registry
            by_registry.setdefault(host, []).append((parent.reference, 1 + missing))
    for host, parents in by_registry.items():
        quota = registry.fetch_quota(parents[0][0]) if len(parents) > _FEW_PARENTS else None
        pulls = sum(needed for _, needed in parents)
        if quota and quota.remaining < pulls:
            yield _quota_warning(host, quota, len(parents), pulls)


def _quota_warning(host: str, quota: Quota, needed: int, pulls: int) -> str:
    window = f" per {quota.window / 3600:g} h" if quota.window else ""
    left = f"only {quota.remaining} of {quota.limit} pulls{window} left"
    return (
        f"{host}: {counted(needed, 'parent')} to resolve with up to {pulls} pulls, but {left}; run"
        f" `docker login {host}`, wait, or set a mirror under `mirrors` in catalog.yaml"
    )
