"""How an instruction's holes are to be written; kept, since renders of a template differ in values alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from dfgen.dockerfile.parser import KEYWORDS, split_flags, split_keyword
from dfgen.templating.execform import EXEC_STYLES
from dfgen.templating.holes import HOLE, Hole, Spot
from dfgen.templating.marks import JSON
from dfgen.templating.places import Writer, place_arguments, place_flags, place_health_check


class Plan(NamedTuple):
    """The parts of a joined instruction, or of ONBUILD's trigger, and the places of their holes.

    `keyword` is empty when a value stands where one is expected; `is_known` is whether it is Docker's.
    """

    keyword: str
    is_known: bool
    flags: tuple[str, ...]
    flag_places: tuple[tuple[Spot, Writer], ...]
    arguments: str


class Placed(NamedTuple):
    """The places in an instruction's arguments, and whether they are an exec form."""

    spots: tuple[Spot, ...]
    write: Callable[[Spot, Hole], str]
    is_exec: bool


@lru_cache(maxsize=4096)
def plan(text: str, escape: str) -> Plan:
    """Take a joined instruction apart."""
    keyword, rest = split_keyword(text)
    name = keyword.upper()
    if HOLE in keyword or name not in KEYWORDS:
        return Plan("" if HOLE in keyword else name, False, (), (), rest)
    flags, arguments = split_flags(rest, escape)
    if name == "ONBUILD" and not any(HOLE in flag for flag in flags):
        return plan(arguments, escape)
    return Plan(name, True, flags, tuple(place_flags(flags)), arguments)


def place(plan: Plan, holes: Sequence[Hole], escape: str, is_sh: bool) -> Placed:
    """Find the places of the arguments' holes; JSON values can decide between exec and shell form."""
    if any(hole.kind == JSON for hole in holes):
        return _place(plan.keyword, plan.arguments, tuple(holes), escape, is_sh)
    return _kept(plan.keyword, plan.arguments, len(holes), escape, is_sh)


@lru_cache(maxsize=4096)
def _kept(keyword: str, arguments: str, count: int, escape: str, is_sh: bool) -> Placed:
    return _place(keyword, arguments, (Hole(HOLE, "", ""),) * count, escape, is_sh)


def _place(keyword: str, arguments: str, holes: Sequence[Hole], escape: str, is_sh: bool) -> Placed:
    if keyword == "HEALTHCHECK":
        spots, write = place_health_check(arguments, holes, escape, is_sh)
    else:
        spots, write = place_arguments(keyword, arguments, holes, escape, is_sh)
    return Placed(tuple(spots), write, any(spot.style in EXEC_STYLES for spot in spots))
