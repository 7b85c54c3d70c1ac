"""A Dockerfile as BuildKit reads it: directives and instructions with their flags, forms and heredocs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from dfgen.dockerfile.arguments import (
    BLANKS,
    NotStringsError,
    exec_form,
    health_check,
    pairs,
    quoted_words,
    split_flags,
    split_keyword,
)
from dfgen.dockerfile.heredocs import Heredoc, opened
from dfgen.dockerfile.lines import ESCAPES, Kind, Reader, Statement, directive
from dfgen.errors import InputError, Place, Problem

EXEC_FORM = frozenset(("ADD", "CMD", "COPY", "ENTRYPOINT", "HEALTHCHECK", "RUN", "SHELL", "VOLUME"))
KEYWORDS = frozenset(
    (
        *EXEC_FORM,
        "ARG",
        "ENV",
        "EXPOSE",
        "FROM",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "STOPSIGNAL",
        "USER",
        "WORKDIR",
    )
)
_HEREDOCS = frozenset(("ADD", "COPY", "RUN"))
_NOT_STRINGS = "the JSON array may hold strings only; quote the others"
_LONGEST_LINE = 65_535  # bytes without the line break
_SPLIT = frozenset(("ADD", "COPY", "EXPOSE", "FROM", "VOLUME"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction; lines count from 1 and include heredoc bodies.

    `text` is all of it with continuation lines joined, `arguments` what follows the keyword and the flags.
    `words` are BuildKit's: the strings of an exec form; for ENV and LABEL key, value, key, value (quotes
    kept); for ARG, COPY, ADD, EXPOSE, FROM and VOLUME the words; for HEALTHCHECK `CMD` and its command;
    else the arguments as one word, and none for what is not an instruction. ONBUILD has its `trigger`.
    """

    keyword: str
    text: str
    arguments: str
    flags: tuple[str, ...]
    words: tuple[str, ...]
    line: int
    end_line: int
    is_exec_form: bool = False
    heredocs: tuple[Heredoc, ...] = ()
    trigger: Instruction | None = None

    def flag(self, name: str) -> tuple[str, ...]:
        """All values of `--name=value`, as written; `--name` alone counts as `true`."""
        found = (flag[2:].partition("=") for flag in self.flags)
        return tuple(value if equals else "true" for key, equals, value in found if key == name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    """What a Dockerfile says; `directives` are `syntax`, `escape` and `check` of its first lines."""

    directives: Mapping[str, str]
    instructions: tuple[Instruction, ...]
    escape: str = "\\"


def _words(keyword: str, arguments: str, escape: str) -> tuple[str, ...]:
    """The words of anything but an exec form; raises ValueError when BuildKit refuses them."""
    if not arguments or keyword not in KEYWORDS:
        return ()
    if keyword in ("ENV", "LABEL"):
        return tuple(part for pair in pairs(arguments, escape) for part in pair)
    if keyword == "ARG":
        return tuple(quoted_words(arguments, escape))
    return tuple(BLANKS.split(arguments)) if keyword in _SPLIT else (arguments,)


@lru_cache(maxsize=4096)
def read_instruction(text: str, line: int, end_line: int, escape: str) -> Instruction:
    """Read one joined instruction, without heredocs; raises ValueError when BuildKit's parser refuses it.

    Kept, since the Dockerfiles of a family are alike, line for line.
    """
    keyword, rest = split_keyword(text)
    keyword = keyword.upper()
    flags, arguments = split_flags(rest, escape)
    instruction = Instruction(
        keyword=keyword, text=text, arguments=arguments, flags=flags, words=(), line=line, end_line=end_line
    )
    if keyword == "ONBUILD":
        trigger = read_instruction(arguments, line, end_line, escape) if arguments else None
        return replace(instruction, trigger=trigger)
    kind: tuple[str, ...] = ()
    if keyword == "HEALTHCHECK":
        first, arguments = health_check(arguments)
        kind = (first,) if first else ()
    array = exec_form(arguments) if keyword in EXEC_FORM else None
    words = _words(keyword, arguments, escape) if array is None else array
    return replace(instruction, words=kind + words, is_exec_form=array is not None)


def takes_heredocs(instruction: Instruction) -> bool:
    """Whether `<<NAME` opens a heredoc in it: RUN, COPY and ADD in shell form, ONBUILD's too."""
    inner = instruction.trigger or instruction
    return inner.keyword in _HEREDOCS and not inner.is_exec_form


class _Parser:
    """A walk over a file's statements; problems are raised with the file's name."""

    def __init__(self, text: str, file: str, passed: re.Pattern[str] | None) -> None:
        self.file = file
        self.reader = Reader(text, passed)
        self.directives: dict[str, str] = {}

    def fail(self, line: int, message: str) -> InputError:
        """Make the error of a line, to be raised; line 0 is the file as a whole."""
        return InputError(Problem(Place(self.file, line), message))

    def run(self) -> Dockerfile:
        """Read all statements. Errors: InputError for the first that is broken, or for a file without any."""
        self.check_lengths()
        instructions = []
        for statement in self.reader:
            if statement.kind is Kind.DIRECTIVE:
                self.directive(statement)
            elif statement.kind is Kind.INSTRUCTION:
                instructions.append(self.instruction(statement))
        if not instructions and not self.reader.passes:
            raise self.fail(0, "there is no instruction in it; a Dockerfile begins with FROM")
        return Dockerfile(
            directives=self.directives, instructions=tuple(instructions), escape=self.reader.escape
        )

    def check_lengths(self) -> None:
        """Refuse a line of more bytes than BuildKit's scanner holds."""
        if max(map(len, self.reader.lines), default=0) <= _LONGEST_LINE // 4:
            return  # a character has four bytes at most
        for number, line in enumerate(self.reader.lines, start=1):
            if (length := len(line.encode())) > _LONGEST_LINE:
                raise self.fail(
                    number, f"the line has {length:,} bytes; BuildKit reads {_LONGEST_LINE:,} at most"
                )

    def directive(self, statement: Statement) -> None:
        """Keep a directive; a second of its name, or an unknown escape, is refused."""
        name, value = directive(statement.text) or ("", "")
        if name in self.directives:
            raise self.fail(statement.line, f"a second '# {name}=' directive; keep one of them")
        if name == "escape" and value not in ESCAPES:
            raise self.fail(statement.line, f"the escape directive is {value!r}; expected \\ or `")
        self.directives[name] = value

    def instruction(self, statement: Statement) -> Instruction:
        """Read a statement into an instruction, with the heredocs that it opens."""
        try:
            found = read_instruction(statement.text, statement.line, statement.end_line, self.reader.escape)
            heredocs = opened(statement.text) if takes_heredocs(found) else []
        except NotStringsError:
            raise self.fail(statement.line, _NOT_STRINGS) from None
        except ValueError as error:
            keyword = split_keyword(statement.text)[0].upper()
            raise self.fail(statement.line, f"{keyword} {error}") from None
        return self.with_bodies(found, heredocs) if heredocs else found

    def with_bodies(self, instruction: Instruction, heredocs: list[Heredoc]) -> Instruction:
        """Take the heredocs' lines, in the order they were opened, from behind the instruction."""
        taken = []
        for heredoc in heredocs:
            body = heredoc.taken(self.reader.lines, self.reader.at)
            if body is None:
                message = f"the heredoc <<{heredoc.name} never ends; expected a line {heredoc.name!r}"
                raise self.fail(instruction.line, message)
            self.reader.at = body.end_line
            taken.append(body)
        return replace(instruction, heredocs=tuple(taken), end_line=self.reader.at)


def parse(text: str, file: str = "Dockerfile", *, passed: re.Pattern[str] | None = None) -> Dockerfile:
    """Read a Dockerfile as BuildKit's parser does; `file` names it in the InputError of a broken one.

    Lines that match `passed`, each an instruction of its own, are passed over: what asks for some
    instructions only need not read the others.
    """
    return _Parser(text, file, passed).run()
