"""A Dockerfile as BuildKit reads it: directives and instructions with their flags, forms and heredocs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import NoReturn

from dfgen.dockerfile.lexer import SPACES, plain_words, quoted_words, raw_words
from dfgen.errors import InputError, Place, Problem

_DIRECTIVE = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*$")
ESCAPES = ("\\", "`")
DIRECTIVES = ("syntax", "escape", "check")


class Kind(Enum):
    """What a statement is."""

    BLANK = "blank"
    DIRECTIVE = "directive"
    COMMENT = "comment"
    INSTRUCTION = "instruction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Consecutive physical lines that BuildKit takes as one; heredoc bodies are not part of it.

    `lines` are as written, without line ends; `joined` tells which of them went into `text`
    (comments and empty lines inside a continuation do not).
    """

    kind: Kind
    line: int
    lines: tuple[str, ...]
    joined: tuple[bool, ...]
    text: str

    @property
    def end_line(self) -> int:
        """The last physical line, counted from 1."""
        return self.line + len(self.lines) - 1


def directive(line: str) -> tuple[str, str] | None:
    """Read `# escape=...` and its kin; None for any other line."""
    if not line.startswith("#"):
        return None
    found = _DIRECTIVE.match(line[1:].lstrip(SPACES))
    if found is None or found[1].lower() not in DIRECTIVES:
        return None
    return found[1].lower(), found[2]


def continues(line: str, escape: str) -> bool:
    """Whether the next physical line belongs to this one."""
    stripped = line.rstrip(" \t")
    return stripped.endswith(escape) and not stripped.endswith(escape * 2)


class Reader:
    """Physical lines with a position; who reads an instruction takes its heredoc bodies from here.

    Lines at which an instruction begins and that match `passed` are left out.
    """

    def __init__(self, text: str, passed: re.Pattern[str] | None = None) -> None:
        self.passed = passed
        self.passes = 0
        self.lines = text.removeprefix("\ufeff").split("\n")
        if self.lines[-1] == "":
            self.lines.pop()
        self.at = 0
        self.escape = "\\"
        self.in_directives = True

    def __iter__(self) -> Iterator[Statement]:
        """Yield statement after statement; `escape` is in force as soon as its directive was read."""
        self._pass_over()
        while self.at < len(self.lines):
            yield self._statement()
            self._pass_over()

    def _pass_over(self) -> None:
        if self.passed is None:
            return
        lines, matches, at = self.lines, self.passed.fullmatch, self.at
        while at < len(lines) and matches(lines[at]):
            at += 1
        if at > self.at:
            self.in_directives = False
            self.passes += at - self.at
            self.at = at

    def _statement(self) -> Statement:
        first = self.lines[self.at].rstrip("\r").lstrip(SPACES)
        if self.in_directives:
            if (found := directive(first)) is not None:
                if found[0] == "escape" and found[1] in ESCAPES:
                    self.escape = found[1]
                return self._single(Kind.DIRECTIVE, first)
            self.in_directives = False
        if not first:
            return self._single(Kind.BLANK, "")
        if first[0] == "#":
            return self._single(Kind.COMMENT, first)
        return self._instruction(first)

    def _single(self, kind: Kind, text: str) -> Statement:
        line = self.lines[self.at]
        self.at += 1
        return Statement(kind=kind, line=self.at, lines=(line,), joined=(True,), text=text)

    def _instruction(self, first: str) -> Statement:
        start = self.at
        self.at += 1
        if not continues(first, self.escape):
            return self._joined(start, first, [True])
        text, joined = first.rstrip(" \t")[:-1], [True]
        more = True
        while more and self.at < len(self.lines):
            part, more = self._continuation(self.lines[self.at].rstrip("\r"))
            text += part or ""
            joined.append(part is not None)
            self.at += 1
        return self._joined(start, text, joined)

    def _joined(self, start: int, text: str, joined: list[bool]) -> Statement:
        return Statement(
            kind=Kind.INSTRUCTION,
            line=start + 1,
            lines=tuple(self.lines[start : self.at]),
            joined=tuple(joined),
            text=text,
        )

    def _continuation(self, line: str) -> tuple[str | None, bool]:
        """What a line adds (None: nothing, it is empty or a comment) and whether it goes on."""
        stripped = line.lstrip(SPACES)
        if not stripped or stripped[0] == "#":
            return None, True
        if continues(line, self.escape):
            return line.rstrip(" \t")[:-1], True
        return line, False


_OPENING = re.compile(r"([0-9]*)<<(-?)[\t\n\f\r ]*([^<]*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heredoc:
    """`<<NAME`; `expand` unless a part of the name is quoted, `chomp` for `<<-`.

    `line` and `end_line` are the first line of the body and the line of the closing name.
    """

    name: str
    expand: bool
    chomp: bool
    descriptor: int = 0
    content: str = ""
    line: int = 0
    end_line: int = 0

    def ends_at(self, line: str) -> bool:
        """Whether a physical line is the closing name."""
        line = line.rstrip("\r\n")
        return (line.lstrip("\t") if self.chomp else line) == self.name

    def taken(self, lines: list[str], start: int) -> Heredoc | None:
        """Take the body from `lines[start:]`; None when the closing name never comes."""
        for at in range(start, len(lines)):
            if self.ends_at(lines[at]):
                content = "".join(f"{line}\n" for line in lines[start:at])
                return replace(self, content=content, line=start + 1, end_line=at + 1)
        return None


def read_opening(word: str) -> Heredoc | None:
    """Read `<<NAME`, without its body; None if it is anything else, or more than that."""
    found = _OPENING.fullmatch(word)
    if found is None or not found[3]:
        return None
    names, quoted = plain_words(found[3]), quoted_words(found[3])
    if len(names) != 1 or len(quoted) != 1:
        return None
    expand = _quotes(names[0]) == _quotes(quoted[0])
    return Heredoc(name=names[0], expand=expand, chomp=found[2] == "-", descriptor=int(found[1] or 0))


def is_heredoc(word: str) -> bool:
    """Whether a word of COPY or ADD opens a heredoc, so that it names no file."""
    return "<<" in word and read_opening(word) is not None


def _quotes(word: str) -> int:
    return word.count("'") + word.count('"')


def opened(text: str) -> list[Heredoc]:
    """The heredocs that a joined instruction opens, in order, without their bodies."""
    if "<<" not in text:
        return []
    return [heredoc for word in raw_words(text) if (heredoc := read_opening(word)) is not None]


BLANKS = re.compile(r"[\t\v\f\r ]+")
_ASCII_SPACES = "\t\n\v\f\r "
_SIGNS = {escape: re.compile(f"[{SPACES}'\"{re.escape(escape)}]") for escape in "\\`"}
_FLAG = re.compile(r"--")


class NotStringsError(ValueError):
    """A JSON array that holds something else than strings: BuildKit refuses it in every form."""


def split_keyword(text: str) -> tuple[str, str]:
    """Split a joined instruction into its first word and the rest."""
    keyword, _, rest = (BLANKS.sub("\n", text.strip(SPACES), count=1)).partition("\n")
    return keyword, rest


def _flag(rest: str, start: int, escape: str) -> tuple[str, int]:
    """Read one flag with its quotes resolved: the flag and where it ends."""
    word, quote, at = "", "", start
    while at < len(rest) and (quote or rest[at] not in SPACES):
        char = rest[at]
        if char == quote:
            quote = ""
        elif char in "'\"" and not quote:
            quote = char
        else:
            if char == escape:
                at += 1
            word += rest[at : at + 1]
        at += 1
    return word, at


def split_flags(rest: str, escape: str) -> tuple[tuple[str, ...], str]:
    """Take the leading `--name=value` words: the flags and what follows, without outer blanks.

    BuildKit looks for flags byte by byte, and some bytes of UTF-8 are blanks to it.
    """
    if rest.isascii():
        return _split_flags(rest, escape)
    flags, after = _split_flags(rest.encode("utf-8", "surrogatepass").decode("latin-1"), escape)
    return tuple(_decoded(flag) for flag in flags), _decoded(after).strip(SPACES)


def _decoded(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "replace")


def _split_flags(rest: str, escape: str) -> tuple[tuple[str, ...], str]:
    flags: list[str] = []
    at = 0
    while True:
        while at < len(rest) and rest[at] in SPACES:
            at += 1
        if not _FLAG.match(rest, at):
            return tuple(flags), rest[at:].strip(_ASCII_SPACES)
        word, at = _flag(rest, at, escape)
        if word == "--":
            return tuple(flags), rest[at:].strip(_ASCII_SPACES)
        flags.append(word)


def _no_constants(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def exec_form(arguments: str) -> tuple[str, ...] | None:
    """The strings of a JSON array, or None for shell form; NotStringsError for any other array."""
    arguments = arguments.lstrip(SPACES)
    if not arguments.startswith("["):
        return None
    try:
        array = json.loads(arguments, parse_constant=_no_constants)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in array):
        raise NotStringsError
    return tuple(array)


def split_quoted(arguments: str, escape: str) -> list[str]:
    """Split at blanks outside of quotes, with quotes and escapes kept: ENV, LABEL and ARG."""
    words, word, quote, at = [], "", "", 0
    signs = _SIGNS[escape]
    while found := signs.search(arguments, at):
        word += arguments[at : found.start()]
        char, at = found[0], found.end()
        if not quote and char in SPACES:
            if word:
                words.append(word)
            word = ""
        elif char == escape and quote != "'":
            if at < len(arguments):
                word += char + arguments[at]
            at += 1
        else:
            quote = "" if char == quote else quote or (char if char in "'\"" else "")
            word += char
    word += arguments[at:]
    return [*words, word] if word else words


def pairs(arguments: str, escape: str) -> tuple[tuple[str, str], ...]:
    """Read `key=value ...` or the old `key value`; values keep their quotes. Raises ValueError."""
    words = split_quoted(arguments, escape)
    if words and "=" not in words[0]:
        key, *value = BLANKS.split(arguments, maxsplit=1)
        if not value:
            raise ValueError("has a name but no value; expected name=value")
        return ((key, value[0]),)
    for word in words:
        if "=" not in word:
            raise ValueError(f"has {word!r}, which is not name=value")
    return tuple((key, value) for key, _, value in (word.partition("=") for word in words))


def health_check(arguments: str) -> tuple[str, str]:
    """Split HEALTHCHECK's arguments into `CMD` or `NONE` and the command."""
    kind, _, command = BLANKS.sub("\n", arguments, count=1).partition("\n")
    return kind, command.strip(_ASCII_SPACES)


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
_NOT_STRINGS = "the JSON array may only contain strings; quote the other values"
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
        return tuple(split_quoted(arguments, escape))
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
            raise self.fail(0, "has no instructions; a Dockerfile begins with FROM")
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
            raise self.fail(statement.line, f"duplicate '# {name}=' directive; keep one")
        if name == "escape" and value not in ESCAPES:
            raise self.fail(statement.line, f"invalid escape directive {value!r}; use \\ or `")
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
                message = f"the heredoc <<{heredoc.name} is not closed; add a line {heredoc.name!r}"
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
