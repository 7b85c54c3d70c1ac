"""Writes printed values into a Dockerfile, quoted for their positions, or rejects them.

A value must not change how BuildKit, a shell or an interpreter reads the text around it. The writers of
`positions`, `shell` and `buildkit` quote each value by the lexer's state at its position. `Quoter` then
reads the result once more: whatever the quoting missed, the file still has the template's instructions,
lines, flags, words and heredocs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from dfgen.dockerfile.lexer import SPACES
from dfgen.dockerfile.parser import (
    EXEC_FORM,
    LONGEST_LINE,
    Kind,
    NotStringsError,
    continues,
    directive,
    exec_form,
    health_check,
    heredocs_of,
    split_keyword,
    too_long,
)
from dfgen.dockerfile.parser import split_quoted as quoted_words
from dfgen.errors import InputError, Place, Problem
from dfgen.templating.quoting.buildkit import check_body
from dfgen.templating.quoting.positions import (
    BodyPart,
    SplitInstruction,
    StatementPart,
    arguments_of,
    batches,
    split_instruction,
    write_line,
)
from dfgen.templating.quoting.values import (
    HARMLESS,
    PLACEHOLDER,
    Position,
    PrintedValue,
    UnsafeValueError,
    abbreviated,
    one_line,
    only,
)
from dfgen.templating.taint import SENTINEL, TAINTED, UNKNOWN_SITE, Site, site_index

_CUT = (
    "text that was composed by a macro, a block or join was cut or changed inside, so dfgen cannot"
    " distinguish its values from template text; change the values before they are composed"
)
_NO_INSTRUCTION = (
    "an instruction is expected there; if the value is Dockerfile text, declare it as a snippet or print it"
    " with | raw"
)
_DIRECTIVE_VALUES = {"syntax": re.compile(r"[A-Za-z0-9_./:@-]+"), "check": re.compile(r"[A-Za-z0-9_=;,-]+")}
_ANYWHERE = (Position(""),)  # for writers that do not depend on the position


class Quoting:
    """Turns tainted text into a Dockerfile; `shown` is the folder of the templates in messages."""

    def __init__(self, shown: str, sites: Sequence[Site]) -> None:
        self._shown = shown
        self._sites = sites

    def write(self, text: str, template: str) -> str:
        """Return the Dockerfile of tainted text. Raises InputError with every value that was rejected."""
        texts, written = self.pieces(text, template)
        return filled(PLACEHOLDER.join(texts), written) if written else text

    def pieces(self, text: str, template: str) -> tuple[list[str], list[str]]:
        """Return the template's texts, and the values written between them. Raises InputError as `write`."""
        pieces = TAINTED.split(text)
        texts = pieces[::4]
        values = [PrintedValue(*pieces[at : at + 3]) for at in range(1, len(pieces), 4)]
        # A sentinel that is left over belongs to a value that was cut: where it ends is unknown.
        if any(map(SENTINEL.search, texts)):
            raise InputError(Problem(Place(f"{self._shown}/{template}"), _CUT))
        if not values:
            return texts, []
        self._check_lines(text, template)
        quoter = Quoter(PLACEHOLDER.join(texts), values)
        quoter.run()
        if quoter.rejected:
            raise InputError(dict.fromkeys(self._problem(one, template) for one in quoter.rejected))
        return texts, quoter.written

    def _check_lines(self, text: str, template: str) -> None:
        """Raise InputError for a line that BuildKit does not read; quoting thousands of values takes long."""
        for line in text.split("\n"):
            if len(line) > LONGEST_LINE and (length := len(TAINTED.sub(r"\3", line).encode())) > LONGEST_LINE:
                found = TAINTED.search(line)
                site = self._site(found[2] if found else UNKNOWN_SITE, template)
                place = Place(f"{self._shown}/{site.template}", site.line)
                raise InputError(Problem(place, too_long(length)))

    def _site(self, char: str, template: str) -> Site:
        index = site_index(char)
        is_known = index < len(self._sites)
        return self._sites[index] if is_known else Site(template=template, line=0, expression="a value")

    def _problem(self, rejection: Rejection, template: str) -> Problem:
        site = self._site(rejection.value.site, template)
        value = abbreviated(rejection.value.raw)
        where = f"which cannot be used in {rejection.where}"
        message = f"{site.expression!r} is {value}, {where}: {rejection.reason}"
        return Problem(Place(f"{self._shown}/{site.template}", site.line), message)


class Rejection(NamedTuple):
    """A value that cannot be written where it is printed: in which instruction that is, and why."""

    value: PrintedValue
    where: str
    reason: str


class Quoter:
    """Quotes the values of one skeleton, in order: fills `written`, a text per value, and `rejected`."""

    def __init__(self, skeleton: str, values: Sequence[PrintedValue]) -> None:
        self.skeleton = skeleton
        self.values = values
        self.written: list[str] = []
        self.rejected: list[Rejection] = []

    def run(self) -> None:
        """Quote all values."""
        for batch in batches(self.skeleton):
            start = len(self.written)
            values = self.values[start : start + batch.size]
            if batch.keeps(values):
                self.written += [value.raw for value in values]
            else:
                for part in batch.parts:
                    self.part(part)

    def part(self, part: StatementPart | BodyPart) -> None:
        """Quote the values of a statement or heredoc body."""
        start = len(self.written)
        if isinstance(part, BodyPart):
            self.body(part, self.values[start : start + len(part.positions)])
            return
        values = self.values[start : start + len(part.in_instruction)]
        if part.statement.kind is Kind.INSTRUCTION:
            self.instruction(part, values)
        else:
            self.comment(part, values)

    def comment(self, part: StatementPart, values: Sequence[PrintedValue]) -> None:
        """Quote the values of a comment or parser directive."""
        text = part.statement.text
        if part.statement.kind is Kind.DIRECTIVE:
            name = (directive(text) or ("",))[0]
            positions = [Position(name) for _ in values]
            self.written += self.write(f"the directive '# {name}='", values, positions, _directive)
            return
        written = self.write("a comment", values, _ANYWHERE * len(values), write_line)
        if part.is_at_top:
            self.check("a comment", values[0], _no_directive, filled(text, written))
        self.written += written

    def instruction(self, part: StatementPart, values: Sequence[PrintedValue]) -> None:
        """Quote the values of an instruction, and of the comments between its lines."""
        before, start = len(self.rejected), len(self.written)
        flags = part.in_instruction
        own = values if all(flags) else [value for value, is_own in zip(values, flags, strict=True) if is_own]
        written = self.arguments(part, own) if own else []
        if len(own) < len(values):
            texts = iter(written)
            written = []
            for value, is_own in zip(values, flags, strict=True):
                comment = "a comment"
                written += [next(texts)] if is_own else self.write(comment, (value,), _ANYWHERE, write_line)
        self.written += written
        if len(self.rejected) == before and not all(map(HARMLESS.fullmatch, written)):
            self.check_lines(part, start)

    def arguments(self, part: StatementPart, values: Sequence[PrintedValue]) -> list[str]:
        """Write the values of a joined instruction, or of an ONBUILD trigger."""
        found = split_instruction(part.statement.text, part.escape)
        if not found.is_known:
            return self.no_instruction(part.statement.text, found.keyword, values)
        in_flags = len(found.flag_positions)
        written = self.flags(found, values[:in_flags]) if in_flags else []
        own = values[in_flags:]
        return written + self.own_arguments(part, found, own) if own else written

    def no_instruction(self, text: str, name: str, values: Sequence[PrintedValue]) -> list[str]:
        """Reject a value in place of a keyword, unless the whole line is empty."""
        if text.strip(PLACEHOLDER + SPACES) or any(value.text for value in values):
            value = next((value for value in values if value.text), values[0])
            unknown = f"{name} is not an instruction; use one of Docker's instructions"
            reason = unknown if name else _NO_INSTRUCTION
            self.rejected.append(Rejection(value, "the first word of a line", reason))
        return [""] * len(values)

    def flags(self, found: SplitInstruction, values: Sequence[PrintedValue]) -> list[str]:
        """Write the values of flags; a flag must not lose its value."""
        where = f"a flag of {found.keyword}"
        written = []
        for (position, writer), value in zip(found.flag_positions, values, strict=True):
            written += self.write(where, (value,), (position,), writer)
        start = 0
        for flag in found.flags:
            end = start + flag.count(PLACEHOLDER)
            if end > start and not filled(flag, written[start:end]).partition("=")[2]:
                reason = "the flag would be empty; omit it if the value is empty"
                self.rejected.append(Rejection(values[start], where, reason))
            start = end
        return written

    def own_arguments(
        self, part: StatementPart, found: SplitInstruction, values: Sequence[PrintedValue]
    ) -> list[str]:
        """Write the values after the flags, and read the result once more."""
        name, text = found.keyword, found.arguments
        before = len(self.rejected)
        own = arguments_of(found, values, part.escape, part.is_sh)
        written = self.write(name, values, own.positions, own.write)
        is_harmless = "[" not in text and "<" not in text and all(map(HARMLESS.fullmatch, written))
        if len(self.rejected) == before and not is_harmless:
            final = filled(text, written)
            self.check(name, values[0], check_arguments, name, text, final, part.escape, own.is_exec)
            if name in ("RUN", "COPY", "ADD"):
                self.check(name, values[-1], check_heredocs, text, final)
        return written

    def body(self, part: BodyPart, values: Sequence[PrintedValue]) -> None:
        """Quote the values of a heredoc body."""
        where = f"a heredoc of {part.keyword}"
        before = len(self.rejected)
        written = self.write(where, values, part.positions, part.write)
        if len(self.rejected) == before:
            final = filled(part.heredoc.content, written)
            self.check(where, values[-1], check_body, part.heredoc, final, part.positions, values)
        self.written += written

    def check_lines(self, part: StatementPart, start: int) -> None:
        """Check the lines of an instruction: values must not change its comments and continuations."""
        statement = part.statement
        if not statement.text.strip(PLACEHOLDER + SPACES):
            return
        where = split_keyword(statement.text)[0].upper()
        for line, count, is_joined in zip(statement.lines, part.counts, statement.joined, strict=True):
            end = start + count
            if count and is_joined:
                final = filled(line, self.written[start:end])
                self.check(where, self.values[end - 1], check_line, line, final, part.escape)
            start = end

    def write(
        self,
        where: str,
        values: Iterable[PrintedValue],
        positions: Iterable[Position],
        writer: Callable[[Position, PrintedValue], str],
    ) -> list[str]:
        """Write values, and record those that the writer rejects."""
        written = []
        for position, value in zip(positions, values, strict=True):
            try:
                written.append(writer(position, value))
            except UnsafeValueError as error:
                self.rejected.append(Rejection(value, where, str(error)))
                written.append("")
        return written

    def check(self, where: str, value: PrintedValue, rule: Callable[..., None], *arguments: object) -> None:
        """Apply a rule to written text; the error names one of its values."""
        try:
            rule(*arguments)
        except UnsafeValueError as error:
            self.rejected.append(Rejection(value, where, str(error)))


def filled(text: str, written: Sequence[str]) -> str:
    """Replace the placeholders of a text."""
    pieces = text.split(PLACEHOLDER)
    return pieces[0] + "".join(value + piece for value, piece in zip(written, pieces[1:], strict=True))


def _directive(position: Position, value: PrintedValue) -> str:
    allowed = _DIRECTIVE_VALUES.get(position.state)
    if allowed is None:
        reason = "the escape directive changes how every line is read; write it in the template"
        raise UnsafeValueError(reason)
    return only(allowed, value.text, f"expected a valid {position.state} directive")


def _no_directive(line: str) -> None:
    if directive(one_line(line)) is not None:
        raise UnsafeValueError("the comment would be read as a parser directive; put text before the value")


def check_line(skeleton: str, final: str, escape: str) -> None:
    """Raise UnsafeValueError if a physical line becomes a comment, empty, or (not) continued."""
    start = final.lstrip(SPACES)
    if start.startswith("#"):
        raise UnsafeValueError(
            "the line would start with '#' and become a comment; start the line with other text"
        )
    if not start:
        raise UnsafeValueError(
            "the line would be empty, so BuildKit would join the next instruction to it; omit the line if the"
            " value is empty"
        )
    if continues(final, escape) != continues(skeleton, escape):
        raise UnsafeValueError(
            f"the {escape} at its end would join or split lines; put text or quotes after the value"
        )


def check_arguments(keyword: str, skeleton: str, final: str, escape: str, was_exec: bool) -> None:
    """Raise UnsafeValueError if arguments become a flag, a JSON array, empty, or more or fewer words."""
    final = final.lstrip(SPACES)
    if final.startswith("--") and not skeleton.startswith("--"):
        raise UnsafeValueError("it would be read as a flag; write the flag in the template")
    command = health_check(final)[1] if keyword == "HEALTHCHECK" else final
    if not command.strip(SPACES):
        raise UnsafeValueError(f"{keyword} would have no arguments; omit it if the value is empty")
    if keyword in EXEC_FORM and not was_exec and _is_exec(command):
        raise UnsafeValueError("the arguments would be read as a JSON array; put text before the [")
    if keyword in ("ENV", "LABEL", "ARG"):
        before, after = quoted_words(skeleton, escape), quoted_words(final, escape)
        if ["=" in word for word in before] != ["=" in word for word in after]:
            raise UnsafeValueError("it would change the number of words; quote it in the template")


def _is_exec(arguments: str) -> bool:
    try:
        return exec_form(arguments) is not None
    except NotStringsError:
        return True


def check_heredocs(skeleton: str, final: str) -> None:
    """Raise UnsafeValueError if a value opens a heredoc, or hides one of the template's."""
    if "<<" in final and _heredocs(skeleton) != _heredocs(final):
        raise UnsafeValueError("it would open or hide a heredoc; move the value away from << or into an ENV")


def _heredocs(text: str) -> list[str]:
    return [heredoc.name for heredoc in heredocs_of(text)]
