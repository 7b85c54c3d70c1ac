"""Merge: one index binds the images of a version, in the layout or in a registry."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import TextIO

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Image
from dfgen.commands.publish import read_back
from dfgen.concurrent import CONCURRENCY, attempt, combined, each, with_place
from dfgen.errors import CheckError, DfgenError, Gathering, InputError, Place, Problem, listing
from dfgen.oci.digest import Digest
from dfgen.oci.images import Child, LocalBlobs, Remote, child_of, children_of
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import BASE_DIGEST, BASE_NAME, Descriptor, Index, Manifest, canonical_index
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference, Repository
from dfgen.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a person may allow: architectures with the same layers, and fewer platforms than before."""

    architecture_independent: bool = False
    drop: bool = False


def merge(
    target: str,
    children: Sequence[Child],
    annotations: Mapping[str, str] | None = None,
    before: Index | None = None,
    rules: Rules | None = None,
) -> Index:
    """Bind children in an index: the same ones give the same bytes, whatever order they come in.

    `before` is what the target has now. Errors: CheckError with every reason why it would be a wrong index.
    """
    rules = rules or Rules()
    reasons = [*_none(children), *_twice(children), *_disagreeing(children)]
    if not rules.architecture_independent:
        reasons.extend(_alike(children))
    if before and not rules.drop:
        reasons.extend(_dropped(children, before))
    if reasons:
        raise CheckError(Problem(None, f"{target}: not merged: {reason}") for reason in reasons)
    return canonical_index((entry for child in children for entry in child.entries), annotations)


def _none(children: Sequence[Child]) -> Iterator[str]:
    if not children:
        yield "there is no image to bind; expected one for each platform"


def _twice(children: Sequence[Child]) -> Iterator[str]:
    for one, other in combinations(children, 2):
        if one.platform == other.platform:
            both = f"{one.name} and {other.name} are both for {one.platform}"
            twice = f"{one.name} is named twice" if one.name == other.name else both
            yield f"{twice}; expected one child for each platform"


def _disagreeing(children: Sequence[Child]) -> Iterator[str]:
    for child in children:
        if child.platform != child.config_platform:
            said = f"but its configuration says {child.config_platform}"
            yield f"{child.name} is listed for {child.platform}, {said}; build it again for its platform"


def _alike(children: Sequence[Child]) -> Iterator[str]:
    """Find the classic mistake: one architecture's image, labelled as another's."""
    advice = "allow it with `architecture_independent: true` in base.yaml or --architecture-independent"
    for one, other in combinations(children, 2):
        if one.platform.architecture == other.platform.architecture or not one.layers:
            continue
        if one.layers == other.layers:
            pair = f"{one.name} ({one.platform}) and {other.name} ({other.platform})"
            same = f"{pair} have the same layers, so one is not for its architecture"
            yield f"{same}; if that is meant, {advice}"


def _dropped(children: Sequence[Child], before: Index) -> Iterator[str]:
    lost = {entry.platform for entry in before.images if entry.platform}
    lost -= {child.platform for child in children}
    if lost:
        words = listing(str(platform) for platform in sorted(lost))
        yield f"it has {words} now and would lose that; add a child for it, or allow it with --drop"


@dataclass(frozen=True, slots=True)
class _Away:
    """A manifest that the target's repository lacks, and where it is."""

    home: Repository
    manifest: Manifest


def bring(
    found: Sequence[tuple[Repository, Child]], target: Repository, registry: Registry, at_once: int
) -> None:
    """Bring images and their attestations to another repository: all blobs first, then the manifests.

    A blob that several share is brought once: a registry may answer wrongly while one is mounted twice.
    """
    pairs = [
        (home, child, entry) for home, child in found for entry in (child.descriptor, *child.attestations)
    ]
    away = [one for one in each(lambda pair: _missing_blobs(*pair, target, registry), pairs, at_once) if one]
    blobs = {
        blob.digest: (blob, one.home)
        for one in away
        for blob in one.manifest.blobs
        if "urls" not in blob.extra
    }
    each(lambda pair: registry.copy(*pair, target), blobs.values(), at_once)

    def put(one: _Away) -> None:
        """By digest; the merged tag will be the only name that it has there."""
        at = Reference(target, digest=one.manifest.descriptor.digest)
        registry.put_manifest(at, one.manifest.raw, one.manifest.media_type)

    each(put, away, at_once)


def _missing_blobs(
    home: Repository, child: Child, entry: Descriptor, target: Repository, registry: Registry
) -> _Away | None:
    """Read a manifest that the target's repository lacks."""
    if registry.find(Reference(target, digest=entry.digest)):
        return None
    known = child.manifest if entry is child.descriptor else None
    manifest = known or registry.manifest(Reference(home, digest=entry.digest))
    if isinstance(manifest, Index):
        raise CheckError(f"{child.name}: its attestation {entry.digest} is an index, expected a manifest")
    return _Away(home, manifest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One merge: the tag, the images and indexes that it binds, and the line that says so."""

    target: Reference
    children: tuple[Reference, ...]
    place: Place | None = None


def read_list(source: Path | TextIO) -> tuple[Entry, ...]:
    """Read a file, or what comes in. Errors: InputError also for what cannot be read."""
    file = str(source) if isinstance(source, Path) else "standard input"
    try:
        text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source.read()
    except OSError as error:
        raise InputError(Problem(Place(file), f"cannot be read: {error.strerror}")) from error
    except UnicodeDecodeError as error:
        raise InputError(Problem(Place(file), "not UTF-8; expected text")) from error
    return parse_list(text, file)


def parse_list(text: str, file: str) -> tuple[Entry, ...]:
    """Read lines of `NAME:TAG CHILD...`; what follows a `#` and empty lines are left out.

    Errors: InputError with the problems of all lines. No line may need the result of another: all are merged
    at once.
    """
    gathering = Gathering()
    entries: list[Entry] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            with gathering.at(Place(file, number)):
                entries.append(_entry(words, Place(file, number)))
    firsts: dict[Reference, Entry] = {}
    for entry in entries:
        firsts.setdefault(entry.target, entry)
    for entry in entries:
        with gathering.step():
            _check_alone(entry, firsts)
    gathering.check()
    if not entries:
        raise InputError(Problem(Place(file), "names no merge; expected lines of NAME:TAG CHILD..."))
    return tuple(entries)


def _entry(words: Sequence[str], place: Place) -> Entry:
    if len(words) < 2:
        raise InputError(f"{words[0]} has no children; expected NAME:TAG CHILD...")
    target, *children = [Reference.parse(word) for word in words]
    return Entry(target=target, children=tuple(children), place=place)


def _check_alone(entry: Entry, firsts: Mapping[Reference, Entry]) -> None:
    """Refuse what needs the result of another line; `firsts` has the first line of each target."""
    first = firsts[entry.target]
    if first is not entry:
        raise _wrong(entry, f"{entry.target} is merged on line {_line(first)} already; name it once")
    for child in entry.children:
        if firsts.get(child, entry) is not entry:
            made = f"{child} is itself merged on line {_line(firsts[child])}"
            raise _wrong(entry, f"{made}; name the images that it binds")


def _line(entry: Entry) -> int:
    return entry.place.line if entry.place else 0


def _wrong(entry: Entry, message: str) -> InputError:
    return InputError(Problem(entry.place, message))


_MERGES_AT_ONCE = 16  # of a list, each with one request under way: as many as connections are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Merging:
    """How to merge in a registry; `expect` is what the tag has to have, `pause` waits for some seconds.

    `at_once` is how many requests of one merge are under way together; `kept` may have configurations on this
    machine, as the layout has those of what was built here.
    """

    registry: Registry
    annotations: Mapping[str, str] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    expect: Digest | None = None
    dry_run: bool = False
    pause: Callable[[float], None] = time.sleep
    at_once: int = CONCURRENCY
    kept: LocalBlobs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """An index and the name it has, or with a dry run will have; `before` is what the name had."""

    name: str
    index: Index
    before: Digest | None

    @property
    def digest(self) -> Digest:
        """The index's digest."""
        return self.index.descriptor.digest

    @property
    def changed(self) -> bool:
        """Whether the name had something else, or nothing."""
        return self.before != self.digest


def merge_published(target: Reference, sources: Sequence[Reference], how: Merging) -> Merged:
    """Bind images and indexes that are in registries under a tag; from other repositories they are brought.

    In one repository: two requests for each image (one where its configuration is kept here), one for what
    the tag has; when that differs, one PUT and one look whether it arrived.
    Errors: CheckError for a wrong merge or a tag that is not as expected, InputError for no tag.
    """
    _check_tag(target)
    found = [
        pair for pairs in each(lambda source: _read(source, how), sources, how.at_once) for pair in pairs
    ]
    children = [child for _, child in found]
    index = merge(str(target), children, how.annotations, rules=how.rules)
    if not how.dry_run:
        away = [(home, child) for home, child in found if home != target.repository]
        bring(away, target.repository, how.registry, how.at_once)
    return _bind(target, children, index, how)


@dataclass(frozen=True, slots=True, kw_only=True)
class Several:
    """What many merges in one run did; the others are done whatever one of them fails with."""

    done: tuple[Merged, ...]
    failed: DfgenError | None = None


def merge_several(entries: Sequence[Entry], how: Merging) -> Several:
    """Merge every entry of a list, many at once; what fails is told with the line it stands on."""
    # Threads within the threads would cost more than they win.
    alone = replace(how, at_once=1)

    def one(entry: Entry) -> Merged:
        """With the entry's line in front of its errors."""
        try:
            return merge_published(entry.target, entry.children, alone)
        except DfgenError as error:
            raise with_place(entry.place, error) from error

    results = attempt(one, entries, _MERGES_AT_ONCE)
    failures = [result for result in results if isinstance(result, DfgenError)]
    done = tuple(result for result in results if isinstance(result, Merged))
    return Several(done=done, failed=combined(failures) if failures else None)


def _check_tag(target: Reference) -> None:
    if target.digest or not target.tag:
        raise InputError(f"{target}: cannot be merged into; expected a tag, such as {target.repository}:1.0")


def _read(source: Reference, how: Merging) -> list[tuple[Repository, Child]]:
    document = how.registry.manifest(source)
    found = children_of(str(source), document, Remote(how.registry, source.repository, how.kept))
    return [(source.repository, child) for child in found]


def _bind(target: Reference, children: Sequence[Child], index: Index, how: Merging) -> Merged:
    """Write the index unless the tag has it; that is looked up last, so that little can come between."""
    before = how.registry.current(target)
    digest = before.descriptor.digest if before else None
    merged = Merged(name=str(target), index=index, before=digest)
    if not merged.changed:
        return merged
    if how.expect and how.expect != digest:
        now = digest or "not there"
        advice = "see what moved it with `dfgen inspect`, and merge again"
        raise CheckError(f"{target}: not merged: expected {how.expect}, it is {now}; {advice}")
    if before and not how.rules.drop:
        merge(str(target), children, how.annotations, _bound(target, before, children, how), how.rules)
    if not how.dry_run:
        how.registry.put_manifest(target, index.raw, index.media_type)
        read_back(how.registry, target, merged.digest, how.pause)
    return merged


def _bound(target: Reference, before: Manifest | Index, children: Sequence[Child], how: Merging) -> Index:
    """What a tag has, as an index; a single image is read for its platform unless it is a child."""
    if isinstance(before, Index):
        return before
    known = [child for child in children if child.descriptor.digest == before.descriptor.digest]
    found = known or children_of(str(target), before, Remote(how.registry, target.repository, how.kept))
    return canonical_index(entry for child in found for entry in child.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What merging in the layout did; `waiting` are versions with the platforms that they still lack."""

    merged: tuple[Merged, ...]
    waiting: Mapping[str, tuple[Platform, ...]]
    failed: DfgenError | None = None


def merge_layout(
    store: Layout,
    lock: Lock,
    versions: Mapping[str, Sequence[Image]],
    built: Mapping[str, Digest] | None = None,
) -> Versions:
    """Bind the images of each version under its name, such as `java-base:1.0`, if all platforms are there.

    `built` says what each image, by its name in the layout (`java-base:1.0-aarch64`), has to be; without it
    whatever the layout has is bound. All names change in one step.
    """
    entries = store.entries()
    waiting = {
        name: lacking for name, images in versions.items() if (lacking := _lacking(images, entries, built))
    }
    names = [name for name in versions if name not in waiting]
    results = attempt(lambda name: _merge_version(name, versions[name], store, lock, entries), names)
    merged = tuple(result for result in results if isinstance(result, Merged))
    failures = [result for result in results if isinstance(result, DfgenError)]
    changed = {one.name: one.index.descriptor for one in merged if one.changed}
    if changed:
        store.tag(changed)
    return Versions(merged=merged, waiting=waiting, failed=combined(failures) if failures else None)


def _name(image: Image) -> str:
    return f"{image.family.name}:{image.tag}"


def _lacking(
    images: Sequence[Image], entries: Mapping[str, Descriptor], built: Mapping[str, Digest] | None
) -> tuple[Platform, ...]:
    def there(image: Image) -> bool:
        """With `built`, an older image of the same name does not count."""
        entry = entries.get(_name(image))
        return entry is not None and (built is None or built.get(_name(image)) == entry.digest)

    return tuple(image.platform for image in images if not there(image))


def _child(image: Image, store: Layout, entries: Mapping[str, Descriptor]) -> Child:
    name = _name(image)
    entry = entries[name]
    manifest = store.manifest(entry)
    if isinstance(manifest, Index):
        raise CheckError(f"{name}: is an index, expected an image manifest; run `dfgen build {image.name}`")
    # Of the layout's entry only what describes the manifest: its annotations are the layout's own.
    bare = Descriptor.of(manifest.raw, manifest.media_type, image.platform)
    return child_of(name, bare, manifest, store, store.attestations(entry.digest))


def _merge_version(
    name: str, images: Sequence[Image], store: Layout, lock: Lock, entries: Mapping[str, Descriptor]
) -> Merged:
    children = [_child(image, store, entries) for image in images]
    rules = Rules(architecture_independent=images[0].family.architecture_independent)
    index = merge(name, children, _base(images, lock), rules=rules)
    before = entries.get(name)
    merged = Merged(name=name, index=index, before=before.digest if before else None)
    if merged.changed or not store.is_intact(index.descriptor):
        store.add(index.raw)
    return merged


def _base(images: Sequence[Image], lock: Lock) -> Mapping[str, str]:
    """Name the parent's index as what a version is built on, where all its platforms have the same parent."""
    parents = {image.parent.key: image.parent for image in images}
    if len(parents) != 1:
        return {}
    key, parent = next(iter(parents.items()))
    locked = lock.parents.get(key)
    if locked is None:
        return {}
    return {BASE_NAME: str(parent.reference.without_digest()), BASE_DIGEST: str(locked.digest)}
