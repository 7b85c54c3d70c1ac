"""Check whether the catalog, the engines, the lock and the registries are ready for a build.

Nothing is changed. Each check returns what it found, or raises an error that says how to fix the problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from dfgen.catalog.lockfile import LOCK_FILE, Lock
from dfgen.catalog.model import Catalog
from dfgen.engine.cleanup import ImageRecords
from dfgen.engine.nodes import Nodes
from dfgen.errors import CheckError, DfgenError, listing
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference
from dfgen.registry import Registry

Check = Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of a check: `message` is what was found, or what is wrong and how to fix it."""

    name: str
    ok: bool
    message: str


def doctor(checks: Iterable[tuple[str, Check]]) -> tuple[Result, ...]:
    """Run all named checks in order; a failed check does not stop the others."""
    return tuple(_result(name, check) for name, check in checks)


def _result(name: str, check: Check) -> Result:
    try:
        return Result(name=name, ok=True, message=check())
    except DfgenError as error:
        return Result(name=name, ok=False, message=str(error))


def platform_checks(platforms: Iterable[Platform], nodes: Nodes) -> Iterator[tuple[str, Check]]:
    """Check that a node can build each platform."""
    for platform in platforms:
        yield f"platform {platform}", partial(_check_platform, platform, nodes)


def _check_platform(platform: Platform, nodes: Nodes) -> str:
    checked = nodes.check([platform])
    found = [
        f"{'native' if platform == node.native else 'emulated'} on node {node.name!r} ({node.host})"
        for node in checked.usable[platform].values()
    ]
    return "; ".join([", ".join(found), *checked.skipped])


def leftover_checks(records: ImageRecords) -> Iterator[tuple[str, Check]]:
    """Check for images of interrupted smoke tests, if there are any."""
    with records.orphans() as orphans:
        names = [record.name for record in orphans]
    if names:
        yield "smoke tests", partial(_report_leftovers, names)


def _report_leftovers(names: Iterable[str]) -> str:
    advice = "run `dfgen gc`, or leave it to the next build"
    raise CheckError(f"an interrupted smoke test left {listing(names)} in an engine; {advice}")


def check_pins(catalog: Catalog, lock: Lock) -> str:
    """Check that every upstream parent is pinned. Raises CheckError with the parents that are not."""
    parents = list(catalog.upstream_parents())
    if unpinned := {parent.key for parent in parents if lock.pin(parent) is None}:
        raise CheckError(f"{LOCK_FILE} has no pin for {', '.join(sorted(unpinned))}; run `dfgen lock`")
    count = len({parent.key for parent in parents})
    return f"all {count} parents are pinned" if count != 1 else "the parent is pinned"


def registry_checks(catalog: Catalog, registry: Registry) -> Iterator[tuple[str, Check]]:
    """Check each registry that images are pulled from or published to, by requesting one image of it."""
    first: dict[str, Reference] = {}
    for parent in catalog.upstream_parents():
        reference = catalog.mirrored(parent.reference)
        first.setdefault(reference.repository.registry, reference)
    for image in catalog.images[:1]:
        target = catalog.reference(image.family.name, image.version)
        first.setdefault(target.repository.registry, target)
    for host, reference in first.items():
        yield f"registry {host}", partial(_check_registry, registry, reference)


def _check_registry(registry: Registry, reference: Reference) -> str:
    found = registry.find(reference)
    return f"responds; {reference} is {found.digest}" if found else f"responds; {reference} does not exist"
