"""The walk over rendered text, statement by statement, that writes every value for its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from dfgen.dockerfile.arguments import NotStringsError, exec_form, split_flags, split_keyword
from dfgen.dockerfile.heredocs import Heredoc, opened
from dfgen.dockerfile.instructions import KEYWORDS, Instruction, read_instruction, takes_heredocs
from dfgen.dockerfile.lines import Kind, Reader, Statement, directive
from dfgen.dockerfile.shellwords import SPACES
from dfgen.templating.bodies import body_spots, body_writer, check_body
from dfgen.templating.execform import EXEC_STYLES
from dfgen.templating.holes import HOLE, Hole, RefusedError, Spot, one_line, only
from dfgen.templating.places import as_line, place_arguments, place_flags, place_health_check
from dfgen.templating.structure import check_arguments, check_heredocs, check_line, filled

_NO_INSTRUCTION = (
    "an instruction is expected there; if the value is Dockerfile text, declare it as a snippet or print it"
    " with | raw"
)
_DIRECTIVE_VALUES = {"syntax": re.compile(r"[A-Za-z0-9_./:@-]+"), "check": re.compile(r"[A-Za-z0-9_=;,-]+")}
_SH = re.compile(r"(?:.*/)?(?:ba|da|k|z|a)?sh")
_HEREDOC_WORD = re.compile(r"\d*<<-?[^\s<]+")


class Refusal(NamedTuple):
    """A value that cannot stand where it is printed: where that is, and why."""

    hole: Hole
    where: str
    reason: str


class Walk:
    """One pass over `skeleton`, the text with a HOLE for each of `holes`."""

    def __init__(self, skeleton: str, holes: Sequence[Hole]) -> None:
        self.reader = Reader(skeleton)
        self.holes = holes
        self.written: list[str] = []
        self.refused: list[Refusal] = []
        self.is_sh = True
        self.at_top = True

    def run(self) -> None:
        """Fill `written`, one text a hole, and `refused`."""
        for statement in self.reader:
            self.at_top = self.at_top and statement.kind is not Kind.INSTRUCTION
            count = sum(line.count(HOLE) for line in statement.lines)
            holes = self.holes[len(self.written) : len(self.written) + count]
            if statement.kind is Kind.INSTRUCTION:
                self.instruction(statement, holes)
            elif count:
                self.comment(statement, holes)
            self.at_top = self.at_top and statement.kind is Kind.DIRECTIVE

    def write(
        self,
        where: str,
        holes: Iterable[Hole],
        spots: Iterable[Spot],
        writer: Callable[[Spot, Hole], str],
    ) -> list[str]:
        """Write holes, and remember the refused ones."""
        written = []
        for spot, hole in zip(spots, holes, strict=True):
            try:
                written.append(writer(spot, hole))
            except RefusedError as error:
                self.refused.append(Refusal(hole, where, str(error)))
                written.append("")
        return written

    def check(self, where: str, hole: Hole, rule: Callable[..., None], *arguments: object) -> None:
        """Apply a rule to written text; a hole answers for it."""
        try:
            rule(*arguments)
        except RefusedError as error:
            self.refused.append(Refusal(hole, where, str(error)))

    def comment(self, statement: Statement, holes: Sequence[Hole]) -> None:
        """Comments and directives."""
        if statement.kind is Kind.DIRECTIVE:
            name = (directive(statement.text) or ("",))[0]
            spots = [Spot(name, statement.text, 0) for _ in holes]
            self.written += self.write(f"the directive '# {name}='", holes, spots, _directive)
            return
        written = self.write("a comment", holes, (Spot("", "", 0) for _ in holes), as_line)
        if self.at_top:
            self.check("a comment", holes[0], _no_directive, filled(statement.text, written))
        self.written += written

    def instruction(self, statement: Statement, holes: Sequence[Hole]) -> None:
        """An instruction, its comments between the lines, and its heredoc bodies."""
        text = statement.text
        before = len(self.refused)
        if holes:
            self.lines(statement, holes)
        elif text[:1] in "SsFf":
            self.shell(text)
        if "<<" in text and len(self.refused) == before:
            self.heredocs(text)

    def lines(self, statement: Statement, holes: Sequence[Hole]) -> None:
        """Write the holes of an instruction's lines; those of comments between them are apart."""
        counts = [line.count(HOLE) for line in statement.lines]
        joined = [
            is_joined for count, is_joined in zip(counts, statement.joined, strict=True) for _ in range(count)
        ]
        own = [hole for hole, is_joined in zip(holes, joined, strict=True) if is_joined]
        before = len(self.refused)
        texts = iter(self.arguments(statement.text, own)) if own else iter(())
        for hole, is_joined in zip(holes, joined, strict=True):
            one = (hole,), (Spot("", "", 0),)
            self.written += [next(texts)] if is_joined else self.write("a comment", *one, as_line)
        if len(self.refused) == before and own:
            self.check_lines(statement, counts)

    def check_lines(self, statement: Statement, counts: Sequence[int]) -> None:
        """Look at every written line of an instruction: comments and continuations are the template's."""
        end = len(self.written) - sum(counts)
        for line, count, is_joined in zip(statement.lines, counts, statement.joined, strict=True):
            start, end = end, end + count
            if count and is_joined and statement.text.strip(HOLE + SPACES):
                final = filled(line, self.written[start:end])
                where = split_keyword(statement.text)[0].upper()
                self.check(where, self.holes[end - 1], check_line, line, final, self.reader.escape)

    def arguments(self, text: str, holes: Sequence[Hole]) -> list[str]:
        """Write the holes of one joined instruction, or of an ONBUILD's trigger."""
        keyword, rest = split_keyword(text)
        name = keyword.upper()
        if HOLE in keyword or name not in KEYWORDS:
            return self.no_instruction(text, name, holes)
        flags, arguments = split_flags(rest, self.reader.escape)
        in_flags = sum(flag.count(HOLE) for flag in flags)
        written = self.flags(name, flags, holes[:in_flags])
        if in_flags == len(holes):
            return written
        if name == "ONBUILD":
            return written + self.arguments(arguments, holes[in_flags:])
        return written + self.own_arguments(name, arguments, holes[in_flags:])

    def no_instruction(self, text: str, name: str, holes: Sequence[Hole]) -> list[str]:
        """A value where a keyword is expected: only nothing can stand there."""
        if text.strip(HOLE + SPACES) or any(hole.text for hole in holes):
            hole = next((hole for hole in holes if hole.text), holes[0])
            reason = _NO_INSTRUCTION
            if HOLE not in name:
                reason = f"{name} is not an instruction; write one of Docker's instructions"
            self.refused.append(Refusal(hole, "the beginning of a line", reason))
        return [""] * len(holes)

    def flags(self, name: str, flags: Sequence[str], holes: Sequence[Hole]) -> list[str]:
        """Write the holes of flags; a flag that had a value keeps one."""
        where = f"a flag of {name}"
        placed = list(place_flags(flags))
        written = []
        for (spot, writer), hole in zip(placed, holes, strict=True):
            written += self.write(where, (hole,), (spot,), writer)
        texts = iter(written)
        for flag in flags:
            count = flag.count(HOLE)
            if count and not filled(flag, [next(texts) for _ in range(count)]).partition("=")[2]:
                self.refused.append(Refusal(holes[0], where, "the flag would be empty; leave it out then"))
        return written

    def own_arguments(self, name: str, arguments: str, holes: Sequence[Hole]) -> list[str]:
        """Write the holes of the arguments, and look at the result."""
        escape = self.reader.escape
        before = len(self.refused)
        if name == "HEALTHCHECK":
            spots, writer = place_health_check(arguments, holes, escape, self.is_sh)
        else:
            spots, writer = place_arguments(name, arguments, holes, escape, self.is_sh)
        written = self.write(name, holes, spots, writer)
        if len(self.refused) == before:
            final = filled(arguments, written)
            was_exec = any(spot.style in EXEC_STYLES for spot in spots)
            self.check(name, holes[0], check_arguments, name, arguments, final, escape, was_exec)
            if name in ("RUN", "COPY", "ADD"):
                self.check(name, holes[-1], check_heredocs, arguments, final)
            self.shell(f"{name} {final}")
        return written

    def shell(self, text: str) -> None:
        """Follow SHELL, which says who reads shell form from here to the next FROM."""
        keyword, arguments = split_keyword(text)
        if keyword.upper() == "FROM":
            self.is_sh = True
        elif keyword.upper() == "SHELL":
            try:
                program = (exec_form(arguments) or ("",))[0]
            except NotStringsError:
                program = ""
            self.is_sh = bool(_SH.fullmatch(program))

    def heredocs(self, text: str) -> None:
        """The bodies that an instruction opens."""
        try:
            found = read_instruction(text, 0, 0, self.reader.escape)
            heredocs = opened(text) if takes_heredocs(found) else []
        except ValueError:
            return
        inner = found.trigger or found
        for heredoc in heredocs:
            body = heredoc.taken(self.reader.lines, self.reader.at)
            if body is None:
                return
            self.reader.at = body.end_line
            if HOLE in body.content:
                self.body(inner, body)

    def body(self, instruction: Instruction, heredoc: Heredoc) -> None:
        """Write the holes of one heredoc's body."""
        command = _HEREDOC_WORD.sub("", instruction.arguments)
        where = f"a heredoc of {instruction.keyword}"
        writer = body_writer(instruction.keyword, command, heredoc, self.reader.escape, self.is_sh)
        spots = body_spots(writer, heredoc.content)
        start = len(self.written)
        holes = self.holes[start : start + len(spots)]
        before = len(self.refused)
        written = self.write(where, holes, spots, writer)
        if len(self.refused) == before:
            self.check(where, holes[-1], check_body, heredoc, filled(heredoc.content, written), spots, holes)
        self.written += written


def _directive(spot: Spot, hole: Hole) -> str:
    allowed = _DIRECTIVE_VALUES.get(spot.style)
    if allowed is None:
        raise RefusedError("the escape directive decides how all lines are read; write it in the template")
    return only(allowed, hole.text, f"expected what a {spot.style} directive may say")


def _no_directive(line: str) -> None:
    if directive(one_line(line)) is not None:
        raise RefusedError("the comment would be read as a parser directive; put other text before the value")
