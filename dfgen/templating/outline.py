"""What rendered text is built of, apart from its values: kept, since renders often differ in values alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from dfgen.dockerfile.parser import (
    Heredoc,
    Kind,
    Reader,
    Statement,
    opened,
    read_instruction,
    split_keyword,
    takes_heredocs,
)
from dfgen.dockerfile.stages import ShellFollower, is_posix, stage_name
from dfgen.templating.bodies import body_spots, body_writer
from dfgen.templating.holes import HARMLESS, HOLE, NAME, Hole, Spot
from dfgen.templating.marks import VALUE
from dfgen.templating.places import Writer, place_arguments

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
