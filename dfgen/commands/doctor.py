"""Doctor: what this machine lacks for the catalog, and what mends it. Nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from dfgen.catalog.lockfile import LOCK_FILE, Lock
from dfgen.catalog.model import Catalog, Parent
from dfgen.errors import CheckError, DfgenError
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference
from dfgen.registry import Registry

# Looks at one thing: says what it found, or raises what is wrong and how to mend it.
Look = Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at; `said` is what was found, or what is wrong and how to mend it."""

    what: str
    holds: bool
    said: str


def doctor(looks: Iterable[tuple[str, Look]]) -> tuple[Finding, ...]:
    """Look at everything, one after the other; a failure stops nothing."""
    return tuple(_finding(what, look) for what, look in looks)


def platforms(wanted: Iterable[Platform], node_of: Callable[[Platform], str]) -> Iterator[tuple[str, Look]]:
    """Look at the node of each platform; `node_of` describes it, or raises why it cannot build."""
    for platform in wanted:
        yield f"platform {platform}", lambda platform=platform: node_of(platform)  # type: ignore[misc]


def registries(catalog: Catalog, registry: Registry) -> Iterator[tuple[str, Look]]:
    """Look at each registry that is read or published to, by asking for one image of it."""
    first: dict[str, Reference] = {}
    for parent in catalog.upstream_parents():
        reference = catalog.mirrored(parent.reference)
        first.setdefault(reference.repository.registry, reference)
    for family in list(catalog.families)[:1]:
        target = catalog.reference(family, catalog.images[0].version)
        first.setdefault(target.repository.registry, target)
    for host, reference in first.items():
        yield f"registry {host}", lambda reference=reference: _ask(registry, reference)  # type: ignore[misc]


def pins(catalog: Catalog, lock: Lock) -> str:
    """Look at the lock: whether every parent from outside has its pins."""
    lacking = {parent.key for parent in catalog.upstream_parents() if lock.pin(parent) is None}
    if lacking:
        raise CheckError(f"{LOCK_FILE} has no pin for {', '.join(sorted(lacking))}; run `dfgen lock`")
    used: set[Parent] = set(catalog.upstream_parents())
    count = len({parent.key for parent in used})
    return f"all {count} parents are pinned" if count != 1 else "the parent is pinned"


def _ask(registry: Registry, reference: Reference) -> str:
    found = registry.find(reference)
    return f"answers; {reference} is {found.digest}" if found else f"answers; {reference} is not there"


def _finding(what: str, look: Look) -> Finding:
    try:
        return Finding(what=what, holds=True, said=look())
    except DfgenError as error:
        return Finding(what=what, holds=False, said=str(error))
