"""The rule `arch-parity`: the Dockerfiles of a version may differ only in what the catalog declares.

To find undeclared differences, the caller renders the settings of the second image (variables, packages,
labels, parents) on the platform of the first one. Any difference that remains between the two depends on the
platform's name alone. A template may print that name, but not decide anything by it: such a difference is
invisible in the catalog.
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
    """Yield the differences besides FROM, digests and the names of the platforms.

    Each comes with 0 and its line in `here`, or, if only `there` has it, with 1 and its line in `there`.
    `own` is set if `here` was rendered from the settings of `there`: it is the Dockerfile with its own
    settings. An instruction that the swapped settings changed to that of `there` is declared, even if its
    value contains the name of a platform.
    """
    declared = _declared(here, there, platforms, own) if own else {}
    ours, others = _normalized(here, platforms[0], declared), _normalized(there, platforms[1], declared)
    if ours == others:
        return
    names = [platform.row.dockerfile for platform in platforms]
    mine, theirs = here.instructions, there.instructions
    for tag, low, high, start, end in SequenceMatcher(None, ours, others, autojunk=False).get_opcodes():
        if tag != "equal":
            message = _message(mine[low:high], theirs[start:end], names)
            side, line = (0, mine[low].line) if low < high else (1, theirs[start].line)
            yield side, Hit(rule="arch-parity", message=message, line=line)


def same(here: str, there: str, platforms: Platforms) -> bool:
    """Whether two texts differ only in digests and platform names; cheaper than parsing both."""
    texts = zip((here, there), platforms, strict=True)
    ours, others = (
        platform_names(platform).sub("<platform>", _DIGEST.sub("<digest>", one)) for one, platform in texts
    )
    return ours == others


def _declared(
    here: Dockerfile, there: Dockerfile, platforms: Platforms, own: Dockerfile
) -> Mapping[str, str]:
    """Map instructions, of either side, that the swapped settings made equal to the text in `there`."""
    before = {*map(_with_heredocs, own.instructions)}
    news = [text for one in here.instructions if (text := _with_heredocs(one)) not in before]
    wanted = [text for one in there.instructions if (text := _with_heredocs(one)) not in before]
    pairs = ((one, other) for other in wanted for one in news if _paired(one, other, platforms))
    return {text: other for one, other in pairs for text in (one, other)}


def _paired(mine: str, theirs: str, platforms: Platforms) -> bool:
    """Whether two texts are equal except that each uses the names of its own platform."""
    own, other = map(platform_names, platforms)
    either = re.compile(f"((?:{own.pattern})|(?:{other.pattern}))")
    pieces = [either.split(_DIGEST.sub("<digest>", text)) for text in (mine, theirs)]
    return len(pieces[0]) == len(pieces[1]) and all(
        one == another or (own.fullmatch(one) and other.fullmatch(another))
        for one, another in zip(*pieces, strict=True)
    )


def _normalized(one: Dockerfile, platform: Platform, declared: Mapping[str, str]) -> list[str]:
    """Return the text of each instruction, with everything that may differ replaced by placeholders."""
    return [declared.get(_with_heredocs(each)) or _normalize(each, platform) for each in one.instructions]


def _normalize(one: Instruction, platform: Platform) -> str:
    if one.keyword == "FROM":
        return "FROM"
    return platform_names(platform).sub("<platform>", _DIGEST.sub("<digest>", _with_heredocs(one)))


def _with_heredocs(one: Instruction) -> str:
    """Return an instruction with the content of its heredocs."""
    return "\n".join((one.text, *(heredoc.content for heredoc in one.heredocs)))


def _message(mine: Sequence[Instruction], theirs: Sequence[Instruction], names: Sequence[str]) -> str:
    sides = [" ".join("; ".join(map(_with_heredocs, side)).split()) for side in (mine, theirs)]
    if sides[0] == sides[1]:
        return (
            f"{names[0]} and {names[1]} both have {_shown(sides[0], 0)}, which names one platform; use"
            " {{ arch }} or {{ platform }}, or declare it under platforms in base.yaml"
        )
    equal = _equal_words(*(side.split(" ") for side in sides))
    both = " | ".join(f"{name}: {_shown(side, equal)}" for name, side in zip(names, sides, strict=True))
    return f"{both} — declare the difference under platforms in base.yaml, or remove it"


def _equal_words(mine: Sequence[str], theirs: Sequence[str]) -> int:
    """Count the words that both sides start with."""
    pairs = enumerate(zip(mine, theirs, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(mine), len(theirs)))


def _shown(text: str, equal: int) -> str:
    """Shorten an instruction to one line; a long one is cut where the sides start to differ."""
    words = text.split(" ")
    if len(text) > _LONGEST and equal > 2:
        text = " ".join([words[0], "…", *words[equal - 1 :]])
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return f"`{text}`" if text else "nothing"
