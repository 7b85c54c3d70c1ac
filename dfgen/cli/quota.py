"""Before many parents are read: say which registry will not let all of them through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog
from dfgen.oci.reference import Reference

if TYPE_CHECKING:
    from dfgen.registry import Quota, Registry

_FEW = 10  # parents of a registry for which it is not asked: a refusal comes as early as this would


def shortages(catalog: Catalog, lock: Lock, registry: Registry) -> Iterator[str]:
    """Say for which registries fewer pulls are left than there are parents without a pin.

    One HEAD, which is no pull, for a registry of which more than a few parents have to be read.
    """
    unread = {
        parent.key: catalog.mirrored(parent.reference)
        for parent in catalog.upstream_parents()
        if lock.pin(parent) is None
    }
    by_registry: dict[str, list[Reference]] = {}
    for _, reference in sorted(unread.items()):
        by_registry.setdefault(reference.repository.registry, []).append(reference)
    for host, references in by_registry.items():
        left = registry.left(references[0]) if len(references) > _FEW else None
        if left and left.remaining < len(references):
            yield _told(host, left, len(references))


def _told(host: str, left: Quota, needed: int) -> str:
    window = f" per {left.window / 3600:g} h" if left.window else ""
    return (
        f"{host}: {left.remaining} of {left.limit} pulls{window} are left, {needed} parents have to be read;"
        " `docker login` there, wait, or name a mirror under mirrors in catalog.yaml"
    )
