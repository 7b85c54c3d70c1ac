"""What every instruction makes of its arguments: where its holes are, and how values are written there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from dfgen.dockerfile.parser import (
    BLANKS,
    KEYWORDS,
    Heredoc,
    Kind,
    Reader,
    Statement,
    health_check,
    opened,
    read_instruction,
    split_flags,
    split_keyword,
    takes_heredocs,
)
from dfgen.dockerfile.parser import split_quoted as quoted_words
from dfgen.dockerfile.stages import ShellFollower, is_posix, stage_name
from dfgen.templating.marks import JSON, VALUE
from dfgen.templating.quoting.buildkit import (
    EXEC_STYLES,
    LexedScan,
    body_spots,
    body_writer,
    read_exec,
    write_exec,
    write_lexed,
    write_word,
)
from dfgen.templating.quoting.shell import ShellScan, write_other_shell, write_shell
from dfgen.templating.quoting.values import (
    HARMLESS,
    HOLE,
    NAME,
    Hole,
    RefusedError,
    Spot,
    one_line,
    only,
    spot_at,
)

Writer = Callable[[Spot, Hole], str]
SpotsAndWriter = tuple[Sequence[Spot], Writer]

_EXEC_OR_SHELL = frozenset(("CMD", "ENTRYPOINT", "RUN"))
_KEYWORD_STYLES = {
    "EXPOSE": (re.compile(r"[0-9A-Za-z/_-]+"), "expected one port, for example 8080 or 53/udp"),
    "STOPSIGNAL": (re.compile(r"[A-Za-z0-9+-]+"), "expected a signal, for example SIGTERM or 15"),
}
_REFERENCE = (re.compile(r"[A-Za-z0-9_./:@-]+"), "expected an image reference, or a part of one")
_STAGE = (re.compile(r"[A-Za-z0-9_.-]+"), "a stage name may only contain letters, digits and _ . -")
_FLAG = (
    re.compile(r"[A-Za-z0-9_@%+:=,./~^*?-]+"),
    "a flag's value may only contain letters, digits and _@%+:=,./~^*?-",
)
_MOUNT = (
    re.compile(r"[A-Za-z0-9_@%+:./~^-]+"),
    "a mount's value may only contain letters, digits and _@%+:./~^-",
)


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


def _from(arguments: str) -> SpotsAndWriter:
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
        raise RefusedError("only the image or the stage name can be a value; write FROM image AS name")

    return spots, writer


def _pairs(keyword: str, arguments: str, escape: str) -> SpotsAndWriter:
    """ENV, LABEL and ARG."""
    words = quoted_words(arguments, escape)
    old = keyword != "ARG" and bool(words) and "=" not in words[0]
    scan = LexedScan(arguments, escape, keyed=True, old=old)
    return list(scan.run()), lambda spot, hole: write_lexed(keyword, spot, hole, escape)


def _command(keyword: str, arguments: str, holes: Sequence[Hole], escape: str, is_sh: bool) -> SpotsAndWriter:
    """Exec form, or a shell's text."""
    spots = read_exec(arguments, holes)
    if spots is not None:
        return spots, lambda spot, hole: write_exec(keyword, spot, hole, escape)
    return list(ShellScan(arguments).run()), write_shell if is_sh else write_other_shell


def _words(keyword: str, arguments: str, holes: Sequence[Hole], escape: str) -> SpotsAndWriter:
    """COPY, ADD, VOLUME and SHELL: exec form, or words; USER and WORKDIR: one text."""
    if keyword not in ("USER", "WORKDIR") and (spots := read_exec(arguments, holes)) is not None:
        return spots, lambda spot, hole: write_exec(keyword, spot, hole, escape)
    if keyword == "SHELL":
        return _spots(arguments), _refuse('SHELL takes a JSON array; write SHELL ["…", "…"]')
    write = write_lexed if keyword in ("USER", "WORKDIR") else write_word
    return list(LexedScan(arguments, escape).run()), lambda spot, hole: write(keyword, spot, hole, escape)


def place_arguments(
    keyword: str, arguments: str, holes: Sequence[Hole], escape: str, is_sh: bool
) -> SpotsAndWriter:
    """The spots of all holes in an instruction's arguments (after its flags), and their writer."""
    if keyword in _EXEC_OR_SHELL:
        return _command(keyword, arguments, holes, escape, is_sh)
    if keyword in ("ENV", "LABEL", "ARG"):
        return _pairs(keyword, arguments, escape)
    if keyword == "FROM":
        return _from(arguments)
    if keyword == "MAINTAINER":
        return _spots(arguments), as_line
    if keyword in _KEYWORD_STYLES:
        return _spots(arguments), _only(_KEYWORD_STYLES[keyword])
    return _words(keyword, arguments, holes, escape)


def place_health_check(arguments: str, holes: Sequence[Hole], escape: str, is_sh: bool) -> SpotsAndWriter:
    """HEALTHCHECK CMD command."""
    kind, command = health_check(arguments)
    if HOLE in kind or kind.upper() != "CMD":
        return _spots(arguments), _refuse(
            "only the command can contain a value; write HEALTHCHECK CMD command"
        )
    return _command("HEALTHCHECK", command, holes, escape, is_sh)


def place_flags(flags: Sequence[str]) -> Iterator[tuple[Spot, Writer]]:
    """The spots of all holes in flags, with their writers."""
    for flag in flags:
        name, _, value = flag.partition("=")
        for spot in _spots(name):
            yield spot, _refuse("a flag's name cannot be a value; print the whole flag with | raw")
        for spot in _spots(value):
            yield spot, _only(_MOUNT if name == "--mount" else _FLAG)


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


_PINNED = r"--platform=[a-z0-9/]+ [A-Za-z0-9._/:-]+@sha256:[0-9a-f]{64}"
_PINNED_FROM = re.compile(f"^FROM {_PINNED}(?= |$)", re.MULTILINE)
_ANY_FROM = "FROM --platform=linux/amd64 any"
_PLAIN = {"key": NAME, "bare": HARMLESS, "double": HARMLESS, "single": HARMLESS}
_HEREDOC_WORD = re.compile(r"\d*<<-?[^\s<]+")


class Part(NamedTuple):
    """A statement with holes.

    `counts` are the holes of each line, `own` tells of each hole whether it is in the instruction and not
    in a comment between its lines. `at_top`: a comment here can be a directive. `is_sh`: shell form is read
    by a POSIX shell. `plain`: values that match these, one a hole, stand here as they are.
    """

    statement: Statement
    counts: tuple[int, ...]
    own: tuple[bool, ...]
    at_top: bool
    is_sh: bool
    escape: str
    plain: tuple[re.Pattern[str], ...]


class Body(NamedTuple):
    """A heredoc's body with holes."""

    keyword: str
    heredoc: Heredoc
    spots: tuple[Spot, ...]
    write: Writer


class Run(NamedTuple):
    """Adjacent parts; where they are `plain`, it matches values, a line each, that all stand as they are."""

    parts: tuple[Part | Body, ...]
    holes: int
    plain: re.Pattern[str] | None

    def stand(self, holes: Sequence[Hole]) -> bool:
        """Whether all values stand as they are."""
        if self.plain is None or not all(hole.kind == VALUE for hole in holes):
            return False
        return self.plain.fullmatch("\n".join([hole.value for hole in holes])) is not None


def runs(skeleton: str) -> tuple[Run, ...]:
    """The statements and bodies that have holes, in order, put together where one look at all is enough.

    A pinned FROM has none, and renders of a family differ in it: for what is kept, all are the same.
    """
    return _runs(_PINNED_FROM.sub(_ANY_FROM, skeleton))


@lru_cache(maxsize=512)
def _runs(skeleton: str) -> tuple[Run, ...]:
    grouped = groupby(_Outline(skeleton).run(), key=lambda part: isinstance(part, Part) and bool(part.plain))
    return tuple(_run(tuple(group), is_plain) for is_plain, group in grouped)


def _run(parts: tuple[Part | Body, ...], is_plain: bool) -> Run:
    rules = [rule.pattern for part in parts if isinstance(part, Part) for rule in part.plain]
    holes = sum(len(part.own if isinstance(part, Part) else part.spots) for part in parts)
    return Run(parts, holes, re.compile("\n".join(rules)) if is_plain else None)


def _plain(statement: Statement, escape: str) -> tuple[re.Pattern[str], ...]:
    """What can stand as it is in each hole of an ENV, LABEL or ARG; nothing where that is not certain."""
    text = statement.text
    keyword, arguments = split_keyword(text)
    if keyword.upper() not in ("ENV", "LABEL", "ARG") or len(statement.lines) > 1:
        return ()
    if arguments.startswith("-") or any(sign in text for sign in "[<"):
        return ()
    spots, _ = place_arguments(keyword.upper(), arguments, (), escape, True)
    certain = all(spot.style in _PLAIN and not spot.open_variable for spot in spots)
    return tuple(_PLAIN[spot.style] for spot in spots) if certain else ()


class _Outline:
    def __init__(self, skeleton: str) -> None:
        self.reader = Reader(skeleton)
        self.shells = ShellFollower()
        self.is_sh = True

    def run(self) -> Iterator[Part | Body]:
        """Describe the statements with holes, and the heredocs, in the order they stand."""
        at_top = True
        for statement in self.reader:
            counts = tuple(line.count(HOLE) for line in statement.lines)
            if any(counts):
                yield self.part(statement, counts, at_top)
            at_top = at_top and statement.kind is Kind.DIRECTIVE
            if statement.kind is Kind.INSTRUCTION:
                self.follow_shell(statement.text)
                if "<<" in statement.text:
                    yield from self.bodies(statement.text)

    def part(self, statement: Statement, counts: tuple[int, ...], at_top: bool) -> Part:
        """Describe a statement that has holes."""
        own = (own for count, own in zip(counts, statement.joined, strict=True) for _ in range(count))
        escape = self.reader.escape
        plain = _plain(statement, escape) if statement.kind is Kind.INSTRUCTION else ()
        return Part(statement, counts, tuple(own), at_top, self.is_sh, escape, plain)

    def follow_shell(self, text: str) -> None:
        """Follow SHELL, which names the program that reads shell form, through stages built on others."""
        if text[:1] not in "SsFf":
            return
        try:
            one = read_instruction(text, 0, 0, self.reader.escape)
        except ValueError:
            self.is_sh = False  # BuildKit refuses it
            return
        if one.keyword == "FROM":
            self.shells.begin(next(iter(one.words), ""), stage_name(one))
        self.shells.follow(one)
        self.is_sh = is_posix(self.shells.shell)

    def bodies(self, text: str) -> Iterator[Body]:
        """The bodies that an instruction opens; what is broken in the template is not looked at here."""
        try:
            found = read_instruction(text, 0, 0, self.reader.escape)
            heredocs = opened(text) if takes_heredocs(found) else []
        except ValueError:
            return
        inner = found.trigger or found
        command = _HEREDOC_WORD.sub("", inner.arguments)
        for heredoc in heredocs:
            body = heredoc.taken(self.reader.lines, self.reader.at)
            if body is None:
                return
            self.reader.at = body.end_line
            if HOLE in body.content:
                writer = body_writer(inner.keyword, command, body, self.reader.escape, self.is_sh)
                yield Body(inner.keyword, body, tuple(body_spots(writer, body.content)), writer)
