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
from dfgen.dockerfile.names import architecture_choice, platform_names
from dfgen.dockerfile.shell import choices, script
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
    mine, theirs = here.instructions, there.instructions
    ours, others = ([_key(one, platforms, declared) for one in side] for side in (mine, theirs))
    names = [platform.row.dockerfile for platform in platforms]
    for tag, low, high, start, end in SequenceMatcher(None, ours, others, autojunk=False).get_opcodes():
        different: list[tuple[Sequence[Instruction], Sequence[Instruction]]]
        if tag == "equal":
            pairs = zip(mine[low:high], theirs[start:end], strict=True)
            different = [
                ((one,), (two,)) for one, two in pairs if not _is_declared(one, two, platforms, declared)
            ]
        else:
            different = [(mine[low:high], theirs[start:end])]
        for one, two in different:
            side, line = (0, one[0].line) if one else (1, two[0].line)
            yield side, Hit(rule="arch-parity", message=_message(one, two, names), line=line)


def same(here: str, there: str, platforms: Platforms) -> bool:
    """Whether two texts differ only in digests and platform names; cheaper than parsing both."""
    return _same_names(here, there, platforms) == set()


def _declared(
    here: Dockerfile, there: Dockerfile, platforms: Platforms, own: Dockerfile
) -> Mapping[str, str]:
    """Map instructions, of either side, that the swapped settings made equal to the text in `there`."""
    before = {*map(_with_heredocs, own.instructions)}
    news = [text for one in here.instructions if (text := _with_heredocs(one)) not in before]
    wanted = [text for one in there.instructions if (text := _with_heredocs(one)) not in before]
    pairs = (
        (one, other) for other in wanted for one in news if _same_names(one, other, platforms) is not None
    )
    return {text: other for one, other in pairs for text in (one, other)}


def _same_names(mine: str, theirs: str, platforms: Platforms) -> set[int] | None:
    """Compare two texts in which each may use the names of its own platform.

    Returns the platforms, 0 and 1, that both texts name at the same place: it is not the own platform of one
    of them. Returns None if the texts differ in anything else.
    """
    own, other = map(platform_names, platforms)
    either = re.compile(f"((?:{own.pattern})|(?:{other.pattern}))")
    pieces = [either.split(_DIGEST.sub("<digest>", text)) for text in (mine, theirs)]
    if len(pieces[0]) != len(pieces[1]):
        return None
    fixed: set[int] = set()
    for at, (one, another) in enumerate(zip(*pieces, strict=True)):
        if at % 2 and one == another:
            fixed.add(0 if own.fullmatch(one) else 1)
        elif one != another and not (own.fullmatch(one) and other.fullmatch(another)):
            return None
    return fixed


def _key(one: Instruction, platforms: Platforms, declared: Mapping[str, str]) -> str:
    """Return the text of an instruction, with everything that may differ replaced by placeholders."""
    if one.keyword == "FROM":
        return "FROM"
    text = _with_heredocs(one)
    if text in declared:
        return declared[text]
    text = _DIGEST.sub("<digest>", text)
    for platform in platforms:
        text = platform_names(platform).sub("<platform>", text)
    return text


def _is_declared(
    mine: Instruction, theirs: Instruction, platforms: Platforms, declared: Mapping[str, str]
) -> bool:
    """Whether two instructions with the same key differ in nothing that the catalog does not declare.

    Texts that name both platforms do the same on both, for example a table of downloads. A text that names
    one of them does not, unless the shell gets there on that platform only.
    """
    if mine.keyword == "FROM" or _with_heredocs(mine) in declared:
        return True
    fixed = _same_names(_with_heredocs(mine), _with_heredocs(theirs), platforms)
    if fixed and mine.keyword == "RUN":
        fixed = _same_names(_without_choices(mine), _without_choices(theirs), platforms)
    return fixed is not None and len(fixed) != 1


def _without_choices(one: Instruction) -> str:
    """Return the script of a RUN without comments and without the parts that it runs by architecture.

    Returns the whole instruction if it is not a script.
    """
    text = script(one)
    if not text:
        return _with_heredocs(one)
    decides = architecture_choice()
    kept, at = "", 0
    for choice in sorted(choices(text), key=lambda choice: (choice.start, -choice.end)):
        if choice.start >= at and (choice.by is None or decides.search(choice.by)):
            kept, at = f"{kept}{text[at : choice.start]} ", choice.end
    return kept + text[at:]


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
