"""From marked text to a Dockerfile: every value written for its place, or everything that has none told."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from dfgen.dockerfile.lexer import SPACES
from dfgen.dockerfile.parser import (
    EXEC_FORM,
    Kind,
    NotStringsError,
    continues,
    directive,
    exec_form,
    health_check,
    opened,
    split_keyword,
)
from dfgen.dockerfile.parser import split_quoted as quoted_words
from dfgen.errors import InputError, Place, Problem
from dfgen.templating.marks import MARK, SENTINEL, Site, site_index
from dfgen.templating.quoting.buildkit import check_body
from dfgen.templating.quoting.positions import Body, Part, Plan, as_line, place, plan, runs
from dfgen.templating.quoting.values import HARMLESS, HOLE, Hole, RefusedError, Spot, one_line, only, shown


def filled(text: str, written: Sequence[str]) -> str:
    """A text with its holes filled."""
    pieces = text.split(HOLE)
    return pieces[0] + "".join(value + piece for value, piece in zip(written, pieces[1:], strict=True))


def check_line(skeleton: str, final: str, escape: str) -> None:
    """Refuse a physical line of an instruction that a value has made a comment, empty, or longer."""
    start = final.lstrip(SPACES)
    if start.startswith("#"):
        raise RefusedError(
            "the line would start with '#' and become a comment; start the line with other text"
        )
    if not start:
        raise RefusedError(
            "the line would be empty, so BuildKit would join the next instruction to it; omit the line if the"
            " value is empty"
        )
    if continues(final, escape) != continues(skeleton, escape):
        raise RefusedError(
            f"the {escape} at its end would join or split lines; put text or quotes after the value"
        )


def _is_exec(arguments: str) -> bool:
    try:
        return exec_form(arguments) is not None
    except NotStringsError:
        return True


def _heredocs(text: str) -> list[str]:
    return [heredoc.name for heredoc in opened(text)]


def check_arguments(keyword: str, skeleton: str, final: str, escape: str, was_exec: bool) -> None:
    """Refuse arguments whose values made a flag, an array, or more words than the template has."""
    final = final.lstrip(SPACES)
    if final.startswith("--") and not skeleton.startswith("--"):
        raise RefusedError("it would be read as a flag; write the flag in the template")
    command = health_check(final)[1] if keyword == "HEALTHCHECK" else final
    if not command.strip(SPACES):
        raise RefusedError(f"{keyword} would have no arguments; omit it if the value is empty")
    if keyword in EXEC_FORM and not was_exec and _is_exec(command):
        raise RefusedError("the arguments would be read as a JSON array; put text before the [")
    if keyword in ("ENV", "LABEL", "ARG"):
        before, after = quoted_words(skeleton, escape), quoted_words(final, escape)
        if ["=" in word for word in before] != ["=" in word for word in after]:
            raise RefusedError("it would change the number of words; quote it in the template")


def check_heredocs(skeleton: str, final: str) -> None:
    """Refuse values that would open a heredoc, or hide one of the template's."""
    if "<<" in final and _heredocs(skeleton) != _heredocs(final):
        raise RefusedError("it would open or hide a heredoc; move the value away from << or into an ENV")


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
            unknown = f"{name} is not an instruction; use one of Docker's instructions"
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
                reason = "the flag would be empty; omit it if the value is empty"
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
        raise RefusedError("the escape directive changes how every line is read; write it in the template")
    return only(allowed, hole.text, f"expected a valid {spot.style} directive")


def _no_directive(line: str) -> None:
    if directive(one_line(line)) is not None:
        raise RefusedError("the comment would be read as a parser directive; put text before the value")


_BROKEN = (
    "text that was composed by a macro, a block or join was cut or changed inside, so dfgen cannot tell its"
    " values from template text any more; change the values before they are composed"
)


class Quoting:
    """Writes values in place; `sites` is the table of the expressions, `shown` the folder in messages."""

    def __init__(self, shown: str, sites: Sequence[Site]) -> None:
        self._shown = shown
        self._sites = sites

    def write(self, text: str, template: str) -> str:
        """Give the Dockerfile that marked text stands for; InputError with every value that has no place."""
        texts, written = self.pieces(text, template)
        return filled(HOLE.join(texts), written) if written else text

    def pieces(self, text: str, template: str) -> tuple[list[str], list[str]]:
        """Give the template's texts, and what is written in the holes between them; errors as for `write`."""
        pieces = MARK.split(text)
        texts, holes = pieces[::4], [Hole(*pieces[at : at + 3]) for at in range(1, len(pieces), 4)]
        if any(map(SENTINEL.search, texts)):
            raise InputError(Problem(Place(f"{self._shown}/{template}"), _BROKEN))
        if not holes:
            return texts, []
        walk = Walk(HOLE.join(texts), holes)
        walk.run()
        if walk.refused:
            raise InputError(dict.fromkeys(self._problem(refusal, template) for refusal in walk.refused))
        return texts, walk.written

    def _problem(self, refusal: Refusal, template: str) -> Problem:
        index = site_index(refusal.hole.site)
        known = index < len(self._sites)
        site = self._sites[index] if known else Site(template=template, line=0, expression="a value")
        value = shown(refusal.hole.value)
        message = f"{site.expression!r} is {value}, which cannot be used in {refusal.where}: {refusal.reason}"
        return Problem(Place(f"{self._shown}/{site.template}", site.line), message)
