"""Arch parity: Dockerfiles of one version differ in FROM and in what the catalog declares per platform.

What is declared is told from what is not by rendering again: the other image's variables, packages, labels
and parents, on this image's platform. What still differs comes from the platform's name alone, and that may
be printed; a template that asks for it and does something else hides a difference from the catalog.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from dfgen.commands.lint.records import Hit
from dfgen.dockerfile import Dockerfile, Instruction
from dfgen.dockerfile.names import platform_names
from dfgen.oci.platform import Platform

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LONGEST = 70  # characters of an instruction in a message


Platforms = tuple[Platform, Platform]


def differences(
    here: Dockerfile, there: Dockerfile, platforms: Platforms, *, own: Dockerfile | None = None
) -> Iterator[tuple[int, Hit]]:
    """What differs besides FROM, digests and the names of the platforms.

    Each is given with 0, and its line in `here`, or with 1, and its line in `there`, where it is there alone.
    `own` is the file of `here` itself, where `here` is made of what the other platform declares: what came to
    be as it is there is declared, whatever platform its value names.
    """
    declared = _declared(here, there, platforms, own) if own else {}
    ours, others = _alike(here, platforms[0], declared), _alike(there, platforms[1], declared)
    if ours == others:
        return
    names = [platform.row.dockerfile for platform in platforms]
    mine, theirs = here.instructions, there.instructions
    for tag, low, high, start, end in SequenceMatcher(None, ours, others, autojunk=False).get_opcodes():
        if tag != "equal":
            message = _told(mine[low:high], theirs[start:end], names)
            side, line = (0, mine[low].line) if low < high else (1, theirs[start].line)
            yield side, Hit(rule="arch-parity", message=message, line=line)


def same(here: str, there: str, platforms: Platforms) -> bool:
    """Whether two texts differ in digests and platform names alone; cheaper than to parse them."""
    texts = zip((here, there), platforms, strict=True)
    ours, others = (
        platform_names(platform).sub("<platform>", _DIGEST.sub("<digest>", one)) for one, platform in texts
    )
    return ours == others


def _declared(
    here: Dockerfile, there: Dockerfile, platforms: Platforms, own: Dockerfile
) -> Mapping[str, str]:
    """Find what has the other's values here and had not before; both texts to the one that stands there."""
    before = {*map(_whole, own.instructions)}
    news = [text for one in here.instructions if (text := _whole(one)) not in before]
    wanted = [text for one in there.instructions if (text := _whole(one)) not in before]
    pairs = ((one, other) for other in wanted for one in news if _paired(one, other, platforms))
    return {text: other for one, other in pairs for text in (one, other)}


def _paired(mine: str, theirs: str, platforms: Platforms) -> bool:
    """Whether two texts are equal but for names where each has its own platform's."""
    own, other = map(platform_names, platforms)
    either = re.compile(f"((?:{own.pattern})|(?:{other.pattern}))")
    pieces = [either.split(_DIGEST.sub("<digest>", text)) for text in (mine, theirs)]
    return len(pieces[0]) == len(pieces[1]) and all(
        one == another or (own.fullmatch(one) and other.fullmatch(another))
        for one, another in zip(*pieces, strict=True)
    )


def _alike(one: Dockerfile, platform: Platform, declared: Mapping[str, str]) -> list[str]:
    """The instructions as the same text wherever they may differ."""
    return [declared.get(_whole(each)) or _neutral(each, platform) for each in one.instructions]


def _neutral(one: Instruction, platform: Platform) -> str:
    if one.keyword == "FROM":
        return "FROM"
    return platform_names(platform).sub("<platform>", _DIGEST.sub("<digest>", _whole(one)))


def _whole(one: Instruction) -> str:
    """An instruction with what its heredocs say."""
    return "\n".join((one.text, *(heredoc.content for heredoc in one.heredocs)))


def _told(mine: Sequence[Instruction], theirs: Sequence[Instruction], names: Sequence[str]) -> str:
    sides = [" ".join("; ".join(map(_whole, side)).split()) for side in (mine, theirs)]
    if sides[0] == sides[1]:
        return (
            f"{names[0]} and {names[1]} both have {_shown(sides[0], 0)}, which names one of them; print"
            " {{ arch }} or {{ platform }}, or declare it under platforms in base.yaml"
        )
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
