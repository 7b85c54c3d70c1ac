"""What the risks of instructions depend on, so that of files that are alike in it one is looked at."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache

from dfgen.dockerfile.names import secrets_in
from dfgen.reviewing.blocks import Block, blocks
from dfgen.reviewing.instructions import neutral

# Instructions that matter only where they hold a secret; what is not known matters always.
_HARMLESS = frozenset(
    ("RUN", "COPY", "CMD", "ENTRYPOINT", "WORKDIR", "LABEL", "EXPOSE", "VOLUME", "HEALTHCHECK", "SHELL")
)


def essence(old: str | None, new: str | None) -> Hashable:
    """What two states of a Dockerfile give for risks; files where it is the same have the same risks.

    The image in the only FROM is left out, and so is an ENV that stays, where no variable is ever used.
    Where a secret comes, it is the texts themselves.
    """
    before, after = blocks(old or ""), blocks(new or "")
    if before is None or after is None or any(map(secrets_in, {*after}.difference(before))):
        return old, new
    was, now = ([block for block in side if _kind(block)] for side in (before, after))
    if not any("$" in block for block in (*was, *now)):
        same = {block for block in {*was}.intersection(now) if _kind(block) == "ENV"}
        was, now = ([block for block in side if block not in same] for side in (was, now))
    return _with_froms_left_out(was), _with_froms_left_out(now), bool(new)


@lru_cache(maxsize=4096)
def _kind(block: Block) -> str:
    """The keyword of a block that matters, else nothing."""
    word = block.split(None, 1)[0].upper() if block.strip() else "#"
    return "" if word.startswith("#") or word in _HARMLESS else word


def _with_froms_left_out(side: list[Block]) -> tuple[Block, ...]:
    froms = [block for block in side if _kind(block) == "FROM"]
    if len(froms) == 1 and "$" not in froms[0]:
        return tuple("FROM" if block == froms[0] else block for block in side)
    return tuple(neutral(block) if block in froms else block for block in side)
