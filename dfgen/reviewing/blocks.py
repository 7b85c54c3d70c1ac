"""Dockerfiles cut where instructions may begin, without parsing: so that what is alike is looked at once."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from itertools import takewhile

from dfgen.dockerfile.lexer import SPACES

Block = str
Changes = tuple[tuple[tuple[Block, ...], tuple[Block, ...]], ...]

# A comment; or lines that are continued, each with the comments and empty lines below it, and the line that
# ends them. Where a line ends in two backslashes it is not continued.
_SPACES = f"[{SPACES.replace(chr(10), '')}]*"
_BLOCK = re.compile(
    rf"{_SPACES}#[^\n]*(?:\n|\Z)"
    rf"|(?:(?:[^\n]*[^\\\n])?\\[ \t]*\r*\n(?:{_SPACES}(?:#[^\n]*)?\n)*)*[^\n]*(?:\n|\Z)"
)
_DIRECTIVES = 200  # characters at the beginning within which a directive may stand


def blocks(text: str) -> list[Block] | None:
    """Cut a Dockerfile: an instruction with its comments, a comment or an empty line each.

    None where heredocs or an escape directive make that uncertain.
    """
    if "<<" in text or "escape" in text[:_DIRECTIVES]:
        return None
    return [block for block in _BLOCK.findall(text) if block]


def changes(old: str, new: str) -> Changes:
    """What differs between two texts: the same for texts that differ from each other elsewhere alone."""
    was, now = blocks(old), blocks(new)
    if was is None or now is None:
        return (((old,), (new,)),)
    was, now = trimmed(was, now)
    codes = SequenceMatcher(None, was, now, autojunk=False).get_opcodes()
    return tuple((tuple(was[a:b]), tuple(now[c:d])) for tag, a, b, c, d in codes if tag != "equal")


def trimmed(one: list[Block], other: list[Block]) -> tuple[list[Block], list[Block]]:
    """Drop the blocks that both begin with, and those that both end with."""
    first = _alike(one, other)
    last = _alike(one[first:][::-1], other[first:][::-1])
    return one[first : len(one) - last], other[first : len(other) - last]


def _alike(one: list[Block], other: list[Block]) -> int:
    """How many blocks are the same from the beginning on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
