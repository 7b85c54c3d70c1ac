"""Which node builds an image now: the least busy of those that can, never more than it takes at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from dfgen.catalog.model import Builder
from dfgen.oci.platform import Platform


class Slots:
    """The nodes of each platform, and what they are at; used from one thread."""

    def __init__(
        self, nodes: Mapping[Platform, Sequence[Builder]], limits: Mapping[Builder, int], total: int = 0
    ) -> None:
        """Take the nodes, how many builds each takes at once, and how many all together; 0 is no limit."""
        self._nodes = {platform: list(found) for platform, found in nodes.items()}
        self._limits, self._total = limits, total
        self._busy: Counter[Builder] = Counter()

    @property
    def most(self) -> int:
        """How many builds there can be at once."""
        every = {node for found in self._nodes.values() for node in found}
        together = sum(self._limits[node] for node in every) or 1
        return min(together, self._total) if self._total else together

    def take(self, platform: Platform) -> Builder | None:
        """Take the least busy node of a platform, the first among equals; None while all are full."""
        if self._total and self._busy.total() >= self._total:
            return None
        free = [node for node in self.left(platform) if self._busy[node] < self._limits[node]]
        if not free:
            return None
        found = min(free, key=lambda node: self._busy[node] / self._limits[node])
        self._busy[found] += 1
        return found

    def give_back(self, node: Builder) -> None:
        """Note that a build on a node has ended."""
        self._busy[node] -= 1

    def lose(self, node: Builder) -> bool:
        """Take a node out, of all its platforms; says whether it was in."""
        holding = [found for found in self._nodes.values() if node in found]
        for found in holding:
            found.remove(node)
        return bool(holding)

    def left(self, platform: Platform) -> Sequence[Builder]:
        """The nodes that build a platform."""
        return self._nodes.get(platform, ())
