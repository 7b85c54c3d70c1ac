"""What every instruction makes of its arguments: where its holes are, and how values are written there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from dfgen.dockerfile.parser import BLANKS, health_check
from dfgen.dockerfile.parser import split_quoted as quoted_words
from dfgen.templating.execform import read_exec, write_exec
from dfgen.templating.holes import HOLE, Hole, RefusedError, Spot, one_line, only, spot_at
from dfgen.templating.lexed import LexedScan, write_lexed, write_word
from dfgen.templating.shell import ShellScan, write_other_shell, write_shell

Writer = Callable[[Spot, Hole], str]
Placed = tuple[Sequence[Spot], Writer]

_EXEC_OR_SHELL = frozenset(("CMD", "ENTRYPOINT", "RUN"))
_PLAIN = {
    "EXPOSE": (re.compile(r"[0-9A-Za-z/_-]+"), "expected a port such as 8080 or 53/udp, one a value"),
    "STOPSIGNAL": (re.compile(r"[A-Za-z0-9+-]+"), "expected a signal such as SIGTERM or 15"),
}
_REFERENCE = (re.compile(r"[A-Za-z0-9_./:@-]+"), "expected an image reference, or a part of one")
_STAGE = (re.compile(r"[A-Za-z0-9_.-]+"), "a stage's name is made of letters, digits and the signs _ . -")
_FLAG = (
    re.compile(r"[A-Za-z0-9_@%+:=,./~^*?-]+"),
    "a flag's value is made of letters, digits and _@%+:=,./~^*?-",
)
_MOUNT = (re.compile(r"[A-Za-z0-9_@%+:./~^-]+"), "a mount's value is made of letters, digits and _@%+:./~^-")


def _spots(text: str, style: str = "plain") -> list[Spot]:
    """One spot for every hole, all alike."""
    return [spot_at(style, text, at) for at, char in enumerate(text) if char == HOLE]


def _part(spot: Spot) -> bool:
    """Whether there is more in the word than this hole."""
    return not (spot.before in ("", " ", "\t") and spot.after in ("", " ", "\t"))


def _only(rule: tuple[re.Pattern[str], str]) -> Writer:
    return lambda spot, hole: only(rule[0], hole.text, rule[1], part=_part(spot))


def as_line(_spot: Spot, hole: Hole) -> str:
    """Comments and MAINTAINER: text that nobody reads again."""
    return one_line(hole.text)


def _refuse(reason: str) -> Writer:
    def writer(_spot: Spot, _hole: Hole) -> str:
        """No value can stand here."""
        raise RefusedError(reason)

    return writer


def _from(arguments: str) -> Placed:
    """FROM image AS name."""
    words = BLANKS.split(arguments)
    styles = [
        ("image", "AS", "stage", "more")[min(at, 3)]
        for at, word in enumerate(words)
        for _ in range(word.count(HOLE))
    ]
    spots = [spot._replace(style=style) for style, spot in zip(styles, _spots(arguments), strict=True)]

    def writer(spot: Spot, hole: Hole) -> str:
        """Write a value by the word of FROM that it is part of."""
        if spot.style in ("image", "stage"):
            return _only(_REFERENCE if spot.style == "image" else _STAGE)(spot, hole)
        raise RefusedError("a value can be the image or the stage's name; write FROM image AS name")

    return spots, writer


def _pairs(keyword: str, arguments: str, escape: str) -> Placed:
    """ENV, LABEL and ARG."""
    words = quoted_words(arguments, escape)
    old = keyword != "ARG" and bool(words) and "=" not in words[0]
    scan = LexedScan(arguments, escape, keyed=True, old=old)
    return list(scan.run()), lambda spot, hole: write_lexed(keyword, spot, hole, escape)


def _command(keyword: str, arguments: str, holes: Sequence[Hole], escape: str, is_sh: bool) -> Placed:
    """Exec form, or a shell's text."""
    spots = read_exec(arguments, holes)
    if spots is not None:
        return spots, lambda spot, hole: write_exec(keyword, spot, hole, escape)
    return list(ShellScan(arguments).run()), write_shell if is_sh else write_other_shell


def _words(keyword: str, arguments: str, holes: Sequence[Hole], escape: str) -> Placed:
    """COPY, ADD, VOLUME and SHELL: exec form, or words; USER and WORKDIR: one text."""
    if keyword not in ("USER", "WORKDIR") and (spots := read_exec(arguments, holes)) is not None:
        return spots, lambda spot, hole: write_exec(keyword, spot, hole, escape)
    if keyword == "SHELL":
        return _spots(arguments), _refuse('SHELL takes a JSON array; write SHELL ["…", "…"]')
    write = write_lexed if keyword in ("USER", "WORKDIR") else write_word
    return list(LexedScan(arguments, escape).run()), lambda spot, hole: write(keyword, spot, hole, escape)


def place_arguments(keyword: str, arguments: str, holes: Sequence[Hole], escape: str, is_sh: bool) -> Placed:
    """The spots of all holes in an instruction's arguments (after its flags), and their writer."""
    if keyword in _EXEC_OR_SHELL:
        return _command(keyword, arguments, holes, escape, is_sh)
    if keyword in ("ENV", "LABEL", "ARG"):
        return _pairs(keyword, arguments, escape)
    if keyword == "FROM":
        return _from(arguments)
    if keyword == "MAINTAINER":
        return _spots(arguments), as_line
    if keyword in _PLAIN:
        return _spots(arguments), _only(_PLAIN[keyword])
    return _words(keyword, arguments, holes, escape)


def place_health_check(arguments: str, holes: Sequence[Hole], escape: str, is_sh: bool) -> Placed:
    """HEALTHCHECK CMD command."""
    kind, command = health_check(arguments)
    if HOLE in kind or kind.upper() != "CMD":
        return _spots(arguments), _refuse("a value can be in the command only; write HEALTHCHECK CMD command")
    return _command("HEALTHCHECK", command, holes, escape, is_sh)


def place_flags(flags: Sequence[str]) -> Iterator[tuple[Spot, Writer]]:
    """The spots of all holes in flags, with their writers."""
    for flag in flags:
        name, _, value = flag.partition("=")
        for spot in _spots(name):
            yield spot, _refuse("a flag's name cannot be a value; print the whole flag with | raw")
        for spot in _spots(value):
            yield spot, _only(_MOUNT if name == "--mount" else _FLAG)
