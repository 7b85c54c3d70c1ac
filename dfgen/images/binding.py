"""The merge itself: from children to an index, and what makes it a wrong one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from dfgen.errors import CheckError, Problem, listing
from dfgen.oci.images import Child
from dfgen.oci.manifest import Index, canonical_index


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
        if child.platform != child.configured:
            said = f"but its configuration says {child.configured}"
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
