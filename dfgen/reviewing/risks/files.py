"""Risks of generated files: edited by hand, not rendered again, or with a FROM that is not the lock's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import zip_longest

from dfgen.model import header
from dfgen.reviewing.records import State
from dfgen.reviewing.risks import error
from dfgen.reviewing.risks.pins import Locks
from dfgen.values.digest import Digest
from dfgen.values.errors import InputError, Place, printable
from dfgen.values.finding import Finding, Level
from dfgen.values.platform import Platform

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


def hand_edited(before: State, after: State, rendered: Mapping[str, str]) -> Iterator[Finding]:
    """A generated file that somebody changed: the next render takes it away."""
    for path, old, text in _changed(before, after):
        if _edited(old, text):
            line = _first_difference(rendered.get(path) or old or text, text)
            message = (
                "the file is generated and was edited by hand; expected what the catalog renders; move the"
                " change to the template, then `dfgen render --force`"
            )
            yield error("hand-edited", message, Place(path, line))


def not_rendered(before: State, after: State, rendered: Mapping[str, str]) -> Iterator[Finding]:
    """A file that is not what the state after renders: it was not rendered again, or only in part."""
    for path, text in sorted(rendered.items()):
        there = after.dockerfiles.get(path)
        if there is None:
            yield error("not-rendered", "the file is missing; `dfgen render` writes it", Place(path))
        elif there != text and not _edited(before.dockerfiles.get(path), there):
            message = "the file is not what the catalog renders; `dfgen render` writes it"
            yield error("not-rendered", message, Place(path, _first_difference(text, there)))


def left_over(before: State, after: State) -> Iterator[Finding]:
    """A generated file whose version went, or a file that came and is of no version."""
    if not before.catalog or not after.catalog:
        return
    old, new = ({one.path for one in state.catalog.images} for state in (before, after) if state.catalog)
    for path in sorted(after.dockerfiles.keys() - before.dockerfiles.keys() - old - new):
        message = (
            "the file belongs to no version: it is neither rendered nor built; see whether that is meant"
        )
        yield Finding(rule="not-rendered", level=Level.NOTE, message=message, place=Place(path))
    for path in sorted((old - new) & after.dockerfiles.keys()):
        if header.is_generated(after.dockerfiles[path]):
            message = "the file belongs to no version any more; `dfgen render` removes it"
            yield error("not-rendered", message, Place(path))


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
