"""The rows of `dfgen lock`: each platform's pin that moves, and for an upgrade what the move brings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dfgen.catalog.model import Catalog
from dfgen.cli import show
from dfgen.commands.lock import Facts, Moved, facts
from dfgen.oci.digest import Digest
from dfgen.oci.images import Pulls
from dfgen.oci.platform import Platform

COLUMNS = ("parent", "platform", "old", "new", "rebuilds")
UPGRADED = (*COLUMNS, "size", "created")
SPARE = ("rebuilds", "created", "size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One platform's pin before and after; `old` is None where there was none."""

    key: str
    platform: Platform
    old: Digest | None
    new: Digest


def steps(moved: Sequence[Moved]) -> Iterator[Step]:
    """List the pins that moved, and those that are new."""
    for one in moved:
        before = one.old.platforms if one.old else {}
        for platform, pin in one.new.platforms.items():
            if before.get(platform) != pin:
                old = before[platform].digest if platform in before else None
                yield Step(key=one.key, platform=platform, old=old, new=pin.digest)


def rows(catalog: Catalog, found: Sequence[Step]) -> Iterator[tuple[object, ...]]:
    """Give the cells under COLUMNS, with the images that stand on each pin."""
    users: dict[tuple[str, Platform], dict[str, None]] = {}
    for image in catalog.images:
        for parent in image.all_parents:
            users.setdefault((parent.key, parent.platform), {})[image.name] = None
    for step in found:
        on_it = list(users.get((step.key, step.platform), ()))
        yield step.key, step.platform, step.old or "", step.new, on_it


def upgraded(
    catalog: Catalog, found: Sequence[Step], registry: Pulls, output: str
) -> Iterator[tuple[object, ...]]:
    """Give the cells under UPGRADED; a registry is asked about pins that moved alone, not about new ones."""
    home = {one.key: catalog.mirrored(one.reference).repository for one in catalog.upstream_parents()}
    both = [
        (home[step.key], digest)
        for step in found
        if step.old and step.key in home
        for digest in (step.old, step.new)
    ]
    known = facts(both, registry)
    nothing = Facts()
    for step, row in zip(found, rows(catalog, found), strict=True):
        old = known.get(step.old, nothing) if step.old else nothing
        new = known.get(step.new, nothing)
        if output == "json":
            size: object = {"old": old.size, "new": new.size}
            created: object = {"old": old.created, "new": new.created}
        elif step.old and step.key in home:
            size = f"{_size(old)} → {_size(new)}"
            created = f"{old.created or 'unknown'} → {new.created or 'unknown'}"
        else:
            size = created = ""
        yield *row, size, created


def _size(of: Facts) -> str:
    return "unknown" if of.size is None else show.size(of.size)
