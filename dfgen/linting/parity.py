"""Arch parity: Dockerfiles of one version differ in FROM and in what the catalog declares per platform.

What is declared is told from what is not by rendering again: the other image's variables, packages, labels
and parents, on this image's platform. What still differs comes from the platform's name alone, and that may
be printed; a template that asks for it and does something else hides a difference from the catalog.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import cache

from dfgen.dockerfile import Dockerfile, Instruction
from dfgen.linting.records import Hit
from dfgen.values.platform import Platform, aliases

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LONGEST = 70  # characters of an instruction in a message


def differences(
    here: Dockerfile, there: Dockerfile, platforms: tuple[Platform, Platform]
) -> Iterator[tuple[int, Hit]]:
    """What differs besides FROM, digests and the names of the platforms.

    Each is given with 0, and its line in `here`, or with 1, and its line in `there`, where it is there alone.
    """
    ours, others = _alike(here, platforms[0]), _alike(there, platforms[1])
    if ours == others:
        return
    names = [platform.row.dockerfile for platform in platforms]
    mine, theirs = here.instructions, there.instructions
    for tag, low, high, start, end in SequenceMatcher(None, ours, others, autojunk=False).get_opcodes():
        if tag != "equal":
            message = _told(mine[low:high], theirs[start:end], names)
            side, line = (0, mine[low].line) if low < high else (1, theirs[start].line)
            yield side, Hit(rule="arch-parity", message=message, line=line)


def same(here: str, there: str, platforms: tuple[Platform, Platform]) -> bool:
    """Whether two texts differ in digests and platform names alone; cheaper than to parse them."""
    texts = zip((here, there), platforms, strict=True)
    ours, others = (
        _names(platform).sub("<platform>", _DIGEST.sub("<digest>", one)) for one, platform in texts
    )
    return ours == others


def _alike(one: Dockerfile, platform: Platform) -> list[str]:
    """The instructions as the same text wherever they may differ."""
    return [_neutral(instruction, platform) for instruction in one.instructions]


def _neutral(one: Instruction, platform: Platform) -> str:
    if one.keyword == "FROM":
        return "FROM"
    return _names(platform).sub("<platform>", _DIGEST.sub("<digest>", _whole(one)))


def _whole(one: Instruction) -> str:
    """An instruction with what its heredocs say."""
    return "\n".join((one.text, *(heredoc.content for heredoc in one.heredocs)))


@cache
def _names(platform: Platform) -> re.Pattern[str]:
    """All that a platform is called, Debian's and RPM's names too."""
    known = {alias for alias, other in aliases().items() if other == platform}
    words = {
        *known,
        platform.architecture,
        platform.row.tag,
        "ppc64el" if "ppc64le" in known else str(platform),
    }
    found = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?<![A-Za-z0-9])(?:{found})(?![A-Za-z0-9])")


def _told(mine: Sequence[Instruction], theirs: Sequence[Instruction], names: Sequence[str]) -> str:
    sides = [" ".join("; ".join(map(_whole, side)).split()) for side in (mine, theirs)]
    same = _same(*(side.split(" ") for side in sides))
    both = " | ".join(f"{name}: {_shown(side, same)}" for name, side in zip(names, sides, strict=True))
    return f"{both} — declare what differs under platforms in base.yaml, or make it the same"


def _same(mine: Sequence[str], theirs: Sequence[str]) -> int:
    """How many words both sides begin with."""
    pairs = enumerate(zip(mine, theirs, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(mine), len(theirs)))


def _shown(text: str, same: int) -> str:
    """An instruction in one short line, from where the sides part."""
    words = text.split(" ")
    if len(text) > _LONGEST and same > 2:
        text = " ".join([words[0], "…", *words[same - 1 :]])
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return f"`{text}`" if text else "nothing"
