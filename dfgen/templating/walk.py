"""The walk over rendered text that writes every value for its place, and looks at what came of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from dfgen.dockerfile.lexer import SPACES
from dfgen.dockerfile.parser import Kind, directive, split_keyword
from dfgen.templating.bodies import check_body
from dfgen.templating.holes import HARMLESS, HOLE, Hole, RefusedError, Spot, one_line, only
from dfgen.templating.outline import Body, Part, runs
from dfgen.templating.places import as_line
from dfgen.templating.plan import Plan, place, plan
from dfgen.templating.structure import check_arguments, check_heredocs, check_line, filled

_NO_INSTRUCTION = (
    "an instruction is expected there; if the value is Dockerfile text, declare it as a snippet or print it"
    " with | raw"
)
_DIRECTIVE_VALUES = {"syntax": re.compile(r"[A-Za-z0-9_./:@-]+"), "check": re.compile(r"[A-Za-z0-9_=;,-]+")}
_NOWHERE = (Spot(""),)


class Refusal(NamedTuple):
    """A value that cannot stand where it is printed: where that is, and why."""

    hole: Hole
    where: str
    reason: str


class Walk:
    """One pass over `skeleton`, the text with a HOLE for each of `holes`."""

    def __init__(self, skeleton: str, holes: Sequence[Hole]) -> None:
        self.skeleton = skeleton
        self.holes = holes
        self.written: list[str] = []
        self.refused: list[Refusal] = []

    def run(self) -> None:
        """Fill `written`, one text a hole, and `refused`."""
        for run in runs(self.skeleton):
            start = len(self.written)
            holes = self.holes[start : start + run.holes]
            if run.stand(holes):
                self.written += [hole.value for hole in holes]
            else:
                for part in run.parts:
                    self.part(part)

    def part(self, part: Part | Body) -> None:
        """One statement or body."""
        start = len(self.written)
        if isinstance(part, Body):
            self.body(part, self.holes[start : start + len(part.spots)])
            return
        holes = self.holes[start : start + len(part.own)]
        if part.statement.kind is Kind.INSTRUCTION:
            self.instruction(part, holes)
        else:
            self.comment(part, holes)

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

    def comment(self, part: Part, holes: Sequence[Hole]) -> None:
        """Comments and directives."""
        text = part.statement.text
        if part.statement.kind is Kind.DIRECTIVE:
            name = (directive(text) or ("",))[0]
            spots = [Spot(name) for _ in holes]
            self.written += self.write(f"the directive '# {name}='", holes, spots, _directive)
            return
        written = self.write("a comment", holes, _NOWHERE * len(holes), as_line)
        if part.at_top:
            self.check("a comment", holes[0], _no_directive, filled(text, written))
        self.written += written

    def instruction(self, part: Part, holes: Sequence[Hole]) -> None:
        """An instruction, and the comments between its lines."""
        before, start = len(self.refused), len(self.written)
        own = holes if all(part.own) else [hole for hole, own in zip(holes, part.own, strict=True) if own]
        written = self.arguments(part, own) if own else []
        if len(own) < len(holes):
            texts = iter(written)
            written = []
            for hole, is_own in zip(holes, part.own, strict=True):
                written += [next(texts)] if is_own else self.write("a comment", (hole,), _NOWHERE, as_line)
        self.written += written
        if len(self.refused) == before and not all(map(HARMLESS.fullmatch, written)):
            self.check_lines(part, start)

    def check_lines(self, part: Part, start: int) -> None:
        """Look at every written line of an instruction: comments and continuations are the template's."""
        statement = part.statement
        if not statement.text.strip(HOLE + SPACES):
            return
        where = split_keyword(statement.text)[0].upper()
        for line, count, is_joined in zip(statement.lines, part.counts, statement.joined, strict=True):
            end = start + count
            if count and is_joined:
                final = filled(line, self.written[start:end])
                self.check(where, self.holes[end - 1], check_line, line, final, part.escape)
            start = end

    def arguments(self, part: Part, holes: Sequence[Hole]) -> list[str]:
        """Write the holes of one joined instruction, or of an ONBUILD's trigger."""
        found = plan(part.statement.text, part.escape)
        if not found.is_known:
            return self.no_instruction(part.statement.text, found.keyword, holes)
        in_flags = len(found.flag_places)
        written = self.flags(found, holes[:in_flags]) if in_flags else []
        own = holes[in_flags:]
        return written + self.own_arguments(part, found, own) if own else written

    def no_instruction(self, text: str, name: str, holes: Sequence[Hole]) -> list[str]:
        """A value where a keyword is expected: only nothing can stand there."""
        if text.strip(HOLE + SPACES) or any(hole.text for hole in holes):
            hole = next((hole for hole in holes if hole.text), holes[0])
            unknown = f"{name} is not an instruction; write one of Docker's instructions"
            self.refused.append(
                Refusal(hole, "the beginning of a line", unknown if name else _NO_INSTRUCTION)
            )
        return [""] * len(holes)

    def flags(self, found: Plan, holes: Sequence[Hole]) -> list[str]:
        """Write the holes of flags; a flag that had a value keeps one."""
        where = f"a flag of {found.keyword}"
        written = []
        for (spot, writer), hole in zip(found.flag_places, holes, strict=True):
            written += self.write(where, (hole,), (spot,), writer)
        start = 0
        for flag in found.flags:
            end = start + flag.count(HOLE)
            if end > start and not filled(flag, written[start:end]).partition("=")[2]:
                reason = "the flag would be empty; leave it out of the template when there is no value"
                self.refused.append(Refusal(holes[start], where, reason))
            start = end
        return written

    def own_arguments(self, part: Part, found: Plan, holes: Sequence[Hole]) -> list[str]:
        """Write the holes of the arguments, and look at the result."""
        name, text = found.keyword, found.arguments
        before = len(self.refused)
        placed = place(found, holes, part.escape, part.is_sh)
        written = self.write(name, holes, placed.spots, placed.write)
        harmless = "[" not in text and "<" not in text and all(map(HARMLESS.fullmatch, written))
        if len(self.refused) == before and not harmless:
            final = filled(text, written)
            self.check(name, holes[0], check_arguments, name, text, final, part.escape, placed.is_exec)
            if name in ("RUN", "COPY", "ADD"):
                self.check(name, holes[-1], check_heredocs, text, final)
        return written

    def body(self, part: Body, holes: Sequence[Hole]) -> None:
        """Write the holes of one heredoc's body."""
        where = f"a heredoc of {part.keyword}"
        before = len(self.refused)
        written = self.write(where, holes, part.spots, part.write)
        if len(self.refused) == before:
            final = filled(part.heredoc.content, written)
            self.check(where, holes[-1], check_body, part.heredoc, final, part.spots, holes)
        self.written += written


def _directive(spot: Spot, hole: Hole) -> str:
    allowed = _DIRECTIVE_VALUES.get(spot.style)
    if allowed is None:
        raise RefusedError("the escape directive decides how all lines are read; write it in the template")
    return only(allowed, hole.text, f"expected what a {spot.style} directive may say")


def _no_directive(line: str) -> None:
    if directive(one_line(line)) is not None:
        raise RefusedError("the comment would be read as a parser directive; put other text before the value")
