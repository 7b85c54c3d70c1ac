"""Risks of generated files: stale, edited by hand, or with a FROM that is not the lock's."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest

from dfgen.commands import render as header
from dfgen.commands.render import Change, File
from dfgen.errors import InputError, Place, printable
from dfgen.findings import Finding, Level
from dfgen.oci.digest import Digest
from dfgen.oci.platform import Platform
from dfgen.reviewing.records import State
from dfgen.reviewing.risks import error
from dfgen.reviewing.risks.pins import Locks

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
