"""Finds the position of every value in a skeleton: in which instruction it is, and how it is written there.

The skeletons of a family are mostly the same, because its Dockerfiles differ in values and not in text. So
everything that depends on the text alone is cached.
"""

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
    heredocs_of,
    read_instruction,
    split_flags,
    split_keyword,
    takes_heredocs,
)
from dfgen.dockerfile.parser import split_quoted as quoted_words
from dfgen.dockerfile.stages import ShellFollower, is_posix, stage_name
from dfgen.templating.quoting.buildkit import (
    EXEC_STATES,
    LexedScan,
    body_positions,
    body_writer,
    read_exec,
    write_exec,
    write_lexed,
    write_word,
)
from dfgen.templating.quoting.shell import ShellScan, write_other_shell, write_shell
from dfgen.templating.quoting.values import (
    HARMLESS,
    NAME,
    PLACEHOLDER,
    Position,
    PrintedValue,
    UnsafeValueError,
    one_line,
    only,
    position_at,
)
from dfgen.templating.taint import JSON, VALUE

Writer = Callable[[Position, PrintedValue], str]
PositionsAndWriter = tuple[Sequence[Position], Writer]

# A pinned parent contains no placeholder, but its digest often is the only difference between two
# skeletons: it is replaced so that both use the same cache entry.
_PINNED = r"--platform=[a-z0-9/]+ [A-Za-z0-9._/:-]+@sha256:[0-9a-f]{64}"
_PINNED_FROM = re.compile(f"^FROM {_PINNED}(?= |$)", re.MULTILINE)
_ANY_FROM = "FROM --platform=linux/amd64 any"
# States in which a value that matches the pattern is written unchanged.
_UNCHANGED = {"key": NAME, "bare": HARMLESS, "double": HARMLESS, "single": HARMLESS}
_HEREDOC_WORD = re.compile(r"\d*<<-?[^\s<]+")


class StatementPart(NamedTuple):
    """A statement with placeholders.

    `counts` are the placeholders of each line. `in_instruction` says for each placeholder whether it is in
    the instruction itself, and not in a comment between its lines. `is_at_top` if a comment here can be a
    parser directive. `is_sh` if a POSIX shell reads its shell form. `unchanged` has a pattern for each
    placeholder: values that match are written unchanged. It is empty if that is not certain.
    """

    statement: Statement
    counts: tuple[int, ...]
    in_instruction: tuple[bool, ...]
    is_at_top: bool
    is_sh: bool
    escape: str
    unchanged: tuple[re.Pattern[str], ...]


class BodyPart(NamedTuple):
    """The body of a heredoc, with placeholders."""

    keyword: str
    heredoc: Heredoc
    positions: tuple[Position, ...]
    write: Writer


class Batch(NamedTuple):
    """Adjacent parts, with `size` placeholders.

    `unchanged` matches the values, joined by newlines, if all are written unchanged: one match then
    replaces the analysis of every part. It is None if a part has no such pattern.
    """

    parts: tuple[StatementPart | BodyPart, ...]
    size: int
    unchanged: re.Pattern[str] | None

    def keeps(self, values: Sequence[PrintedValue]) -> bool:
        """Whether all values are written unchanged."""
        if self.unchanged is None or not all(value.kind == VALUE for value in values):
            return False
        return self.unchanged.fullmatch("\n".join([value.raw for value in values])) is not None


def batches(skeleton: str) -> tuple[Batch, ...]:
    """Return the statements and heredoc bodies that have placeholders, in order."""
    return _batches(_PINNED_FROM.sub(_ANY_FROM, skeleton))


@lru_cache(maxsize=512)
def _batches(skeleton: str) -> tuple[Batch, ...]:
    parts = _SkeletonReader(skeleton).run()
    grouped = groupby(parts, key=lambda part: isinstance(part, StatementPart) and bool(part.unchanged))
    return tuple(_batch(tuple(group), is_simple) for is_simple, group in grouped)


def _batch(parts: tuple[StatementPart | BodyPart, ...], is_simple: bool) -> Batch:
    rules = [rule.pattern for part in parts if isinstance(part, StatementPart) for rule in part.unchanged]
    size = sum(
        len(part.in_instruction if isinstance(part, StatementPart) else part.positions) for part in parts
    )
    return Batch(parts, size, re.compile("\n".join(rules)) if is_simple else None)


def _unchanged(statement: Statement, escape: str) -> tuple[re.Pattern[str], ...]:
    """Return the patterns of an ENV, LABEL or ARG; empty if a value could change how the line is read."""
    text = statement.text
    keyword, arguments = split_keyword(text)
    if keyword.upper() not in ("ENV", "LABEL", "ARG") or len(statement.lines) > 1:
        return ()
    if arguments.startswith("-") or any(sign in text for sign in "[<"):
        return ()
    positions, _ = _argument_positions(keyword.upper(), arguments, (), escape, True)
    is_certain = all(position.state in _UNCHANGED and not position.follows_variable for position in positions)
    return tuple(_UNCHANGED[position.state] for position in positions) if is_certain else ()


class _SkeletonReader:
    def __init__(self, skeleton: str) -> None:
        self.reader = Reader(skeleton)
        self.shells = ShellFollower()
        self.is_sh = True

    def run(self) -> Iterator[StatementPart | BodyPart]:
        """Yield the statements and heredoc bodies that have placeholders, in order."""
        is_at_top = True
        for statement in self.reader:
            counts = tuple(line.count(PLACEHOLDER) for line in statement.lines)
            if any(counts):
                yield self.part(statement, counts, is_at_top)
            is_at_top = is_at_top and statement.kind is Kind.DIRECTIVE
            if statement.kind is Kind.INSTRUCTION:
                self.follow_shell(statement.text)
                if "<<" in statement.text:
                    yield from self.bodies(statement.text)

    def part(self, statement: Statement, counts: tuple[int, ...], is_at_top: bool) -> StatementPart:
        """Describe a statement that has placeholders."""
        joined = zip(counts, statement.joined, strict=True)
        in_instruction = tuple(is_joined for count, is_joined in joined for _ in range(count))
        escape = self.reader.escape
        unchanged = _unchanged(statement, escape) if statement.kind is Kind.INSTRUCTION else ()
        return StatementPart(statement, counts, in_instruction, is_at_top, self.is_sh, escape, unchanged)

    def follow_shell(self, text: str) -> None:
        """Follow SHELL, which selects the program that reads shell form and is inherited through stages."""
        if text[:1] not in "SsFf":  # neither SHELL nor FROM
            return
        try:
            one = read_instruction(text, 0, 0, self.reader.escape)
        except ValueError:
            self.is_sh = False  # BuildKit rejects it
            return
        if one.keyword == "FROM":
            self.shells.begin(next(iter(one.words), ""), stage_name(one))
        self.shells.follow(one)
        self.is_sh = is_posix(self.shells.shell)

    def bodies(self, text: str) -> Iterator[BodyPart]:
        """Yield the bodies of an instruction; a broken one ends the search, because BuildKit reports it."""
        try:
            found = read_instruction(text, 0, 0, self.reader.escape)
            heredocs = heredocs_of(text) if takes_heredocs(found) else []
        except ValueError:
            return
        inner = found.trigger or found
        command = _HEREDOC_WORD.sub("", inner.arguments)
        for heredoc in heredocs:
            body = heredoc.with_body(self.reader.lines, self.reader.at)
            if body is None:
                return
            self.reader.at = body.end_line
            if PLACEHOLDER in body.content:
                writer = body_writer(inner.keyword, command, body, self.reader.escape, self.is_sh)
                yield BodyPart(inner.keyword, body, tuple(body_positions(writer, body.content)), writer)


class SplitInstruction(NamedTuple):
    """A joined instruction, or the trigger of an ONBUILD, split into its parts.

    `keyword` is "" if it contains a value; `is_known` if it is one of Docker's keywords. `flag_positions` has
    every placeholder of the flags, with its writer.
    """

    keyword: str
    is_known: bool
    flags: tuple[str, ...]
    flag_positions: tuple[tuple[Position, Writer], ...]
    arguments: str


@lru_cache(maxsize=4096)
def split_instruction(text: str, escape: str) -> SplitInstruction:
    """Split a joined instruction."""
    keyword, rest = split_keyword(text)
    name = keyword.upper()
    if PLACEHOLDER in keyword or name not in KEYWORDS:
        return SplitInstruction("" if PLACEHOLDER in keyword else name, False, (), (), rest)
    flags, arguments = split_flags(rest, escape)
    if name == "ONBUILD" and not any(PLACEHOLDER in flag for flag in flags):
        return split_instruction(arguments, escape)
    return SplitInstruction(name, True, flags, tuple(_flag_positions(flags)), arguments)


class Arguments(NamedTuple):
    """The positions of the values in an instruction's arguments, their writer, and the form."""

    positions: tuple[Position, ...]
    write: Writer
    is_exec: bool


def arguments_of(
    instruction: SplitInstruction, values: Sequence[PrintedValue], escape: str, is_sh: bool
) -> Arguments:
    """Find the positions of the values in an instruction's arguments."""
    keyword, text = instruction.keyword, instruction.arguments
    if any(value.kind == JSON for value in values):  # they decide whether it is exec form: not cacheable
        return _arguments(keyword, text, tuple(values), escape, is_sh)
    return _cached_arguments(keyword, text, len(values), escape, is_sh)


@lru_cache(maxsize=4096)
def _cached_arguments(keyword: str, arguments: str, count: int, escape: str, is_sh: bool) -> Arguments:
    return _arguments(keyword, arguments, (PrintedValue(VALUE, "", ""),) * count, escape, is_sh)


def _arguments(
    keyword: str, arguments: str, values: Sequence[PrintedValue], escape: str, is_sh: bool
) -> Arguments:
    if keyword == "HEALTHCHECK":
        positions, write = _health_check(arguments, values, escape, is_sh)
    else:
        positions, write = _argument_positions(keyword, arguments, values, escape, is_sh)
    return Arguments(tuple(positions), write, any(position.state in EXEC_STATES for position in positions))


# Rules of the instructions.

_EXEC_OR_SHELL = frozenset(("CMD", "ENTRYPOINT", "RUN"))
_KEYWORD_RULES = {
    "EXPOSE": (re.compile(r"[0-9A-Za-z/_-]+"), "expected one port, for example 8080 or 53/udp"),
    "STOPSIGNAL": (re.compile(r"[A-Za-z0-9+-]+"), "expected a signal, for example SIGTERM or 15"),
}
_REFERENCE = (re.compile(r"[A-Za-z0-9_./:@-]+"), "expected an image reference, or a part of one")
_STAGE = (re.compile(r"[A-Za-z0-9_.-]+"), "a stage name may only contain letters, digits and _ . -")
_FLAG = (
    re.compile(r"[A-Za-z0-9_@%+:=,./~^*?-]+"),
    "a flag's value may only contain letters, digits and _@%+:=,./~^*?-",
)
# --mount is a list of CSV fields: `,` would begin another field and `=` another key.
_MOUNT = (
    re.compile(r"[A-Za-z0-9_@%+:./~^-]+"),
    "a mount's value may only contain letters, digits and _@%+:./~^-",
)


def _argument_positions(
    keyword: str, arguments: str, values: Sequence[PrintedValue], escape: str, is_sh: bool
) -> PositionsAndWriter:
    """Find all placeholders in an instruction's arguments (after its flags), and their writer."""
    if keyword in _EXEC_OR_SHELL:
        return _command(keyword, arguments, values, escape, is_sh)
    if keyword in ("ENV", "LABEL", "ARG"):
        return _pairs(keyword, arguments, escape)
    if keyword == "FROM":
        return _from(arguments)
    if keyword == "MAINTAINER":
        return _positions(arguments), write_line
    if keyword in _KEYWORD_RULES:
        return _positions(arguments), _only(_KEYWORD_RULES[keyword])
    return _words(keyword, arguments, values, escape)


def _command(
    keyword: str, arguments: str, values: Sequence[PrintedValue], escape: str, is_sh: bool
) -> PositionsAndWriter:
    """Exec form, or text for a shell."""
    positions = read_exec(arguments, values)
    if positions is not None:
        return positions, lambda position, value: write_exec(keyword, position, value, escape)
    return list(ShellScan(arguments).run()), write_shell if is_sh else write_other_shell


def _health_check(
    arguments: str, values: Sequence[PrintedValue], escape: str, is_sh: bool
) -> PositionsAndWriter:
    """HEALTHCHECK CMD command."""
    kind, command = health_check(arguments)
    if PLACEHOLDER in kind or kind.upper() != "CMD":
        reason = "only the command can contain a value; write HEALTHCHECK CMD command"
        return _positions(arguments), _reject(reason)
    return _command("HEALTHCHECK", command, values, escape, is_sh)


def _pairs(keyword: str, arguments: str, escape: str) -> PositionsAndWriter:
    """ENV, LABEL and ARG."""
    words = quoted_words(arguments, escape)
    legacy = keyword != "ARG" and bool(words) and "=" not in words[0]
    scan = LexedScan(arguments, escape, keyed=True, legacy=legacy)
    return list(scan.run()), lambda position, value: write_lexed(keyword, position, value, escape)


def _from(arguments: str) -> PositionsAndWriter:
    """FROM image AS name."""
    words = BLANKS.split(arguments)
    states = [
        ("image", "AS", "stage", "more")[min(at, 3)]
        for at, word in enumerate(words)
        for _ in range(word.count(PLACEHOLDER))
    ]
    placed = zip(states, _positions(arguments), strict=True)
    return [position._replace(state=state) for state, position in placed], _write_from


def _write_from(position: Position, value: PrintedValue) -> str:
    if position.state in ("image", "stage"):
        return _only(_REFERENCE if position.state == "image" else _STAGE)(position, value)
    raise UnsafeValueError("only the image or the stage name can be a value; write FROM image AS name")


def _words(keyword: str, arguments: str, values: Sequence[PrintedValue], escape: str) -> PositionsAndWriter:
    """COPY, ADD, VOLUME and SHELL: exec form or words. USER and WORKDIR: a single text."""
    if keyword not in ("USER", "WORKDIR") and (positions := read_exec(arguments, values)) is not None:
        return positions, lambda position, value: write_exec(keyword, position, value, escape)
    if keyword == "SHELL":
        return _positions(arguments), _reject('SHELL takes a JSON array; write SHELL ["…", "…"]')
    write = write_lexed if keyword in ("USER", "WORKDIR") else write_word
    scan = LexedScan(arguments, escape)
    return list(scan.run()), lambda position, value: write(keyword, position, value, escape)


def _flag_positions(flags: Sequence[str]) -> Iterator[tuple[Position, Writer]]:
    for flag in flags:
        name, _, value = flag.partition("=")
        for position in _positions(name):
            yield position, _reject("a flag's name cannot be a value; print the whole flag with | raw")
        for position in _positions(value):
            yield position, _only(_MOUNT if name == "--mount" else _FLAG)


def _positions(text: str) -> list[Position]:
    return [position_at("plain", text, at) for at, char in enumerate(text) if char == PLACEHOLDER]


def _is_part(position: Position) -> bool:
    """Whether the value is only a part of its word."""
    return not (position.before in ("", " ", "\t") and position.after in ("", " ", "\t"))


def write_line(_position: Position, value: PrintedValue) -> str:
    """Write a value in a comment or MAINTAINER, which are not parsed any further."""
    return one_line(value.text)


def _only(rule: tuple[re.Pattern[str], str]) -> Writer:
    allowed, advice = rule
    return lambda position, value: only(allowed, value.text, advice, part=_is_part(position))


def _reject(reason: str) -> Writer:
    def writer(_position: Position, _value: PrintedValue) -> str:
        raise UnsafeValueError(reason)

    return writer
