"""Reads the simple commands of a RUN's script like a POSIX shell. The only shell reader in dfgen.

Tests compare it with real shells (`sh`, `bash`). Syntax of bash (`[[ ]]`, arrays, `<( )`, `&>`, `<<<`) is
read as bash does; in other shells it is an error, or makes no difference for finding commands.
https://pubs.opengroup.org/onlinepubs/9699919799/utilities/V3_chap02.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import dropwhile

from dfgen.dockerfile.parser import Instruction, read_opening

POSIX_SHELL = re.compile(r"(?:.*/)?(?:ba|da|k|z|a)?sh")

_SHEBANG = re.compile(r"#!\s*(?:/usr/bin/env\s+)?(?:\S*/)?(?:ba|da|k|z|a)?sh\b")
_LEADING_TABS = re.compile(r"^\t+", re.MULTILINE)

# Longer operators first. A number directly before a redirection is its file descriptor (2.7).
_REDIRECTION = re.compile(r"\d*(<<<|<<-|<<|>>|<&|>&|<>|>\||[<>](?!\())|(&>>|&>)")
_OPERATOR = re.compile(r"&&|\|\||\|&|;;&|;;|;&|[;&|()\n]")
_WRITES = frozenset((">", ">>", ">|", "&>", "&>>"))
_PIPES = frozenset(("|", "|&"))
_AND_OR = frozenset(("&&", "||", "|", "|&"))
_NEXT_PATTERN = frozenset((";;", ";&", ";;&"))

_BLANKS = re.compile(r"(?:[ \t]|\\\n)*")
_SIMPLE_WORD = re.compile(r"[A-Za-z0-9_./:=@%+,-]+(?=[ \t\n;&|)]|\Z)")  # fast path for most words
_PLAIN = re.compile(r"[^\\'\"$`;&|<>() \t\n]+")
_IN_DOUBLE_QUOTES = re.compile(r"[^\\\"$`]+")
_PARAMETER = re.compile(r"\$(?:[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-])")
_BACKTICKS = re.compile(r"`(?:\\.|[^`\\])*`?", re.DOTALL)
_ANSI_QUOTES = re.compile(r"\$'(?:\\.|[^'\\])*'?", re.DOTALL)
_GLOB_OR_BRACES = re.compile(r"[*?\[{~]")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\[[^\]]*\])?\+?=")
_ARITHMETIC = re.compile(r"\\.|'[^']*'|\"(?:\\.|[^\"\\])*\"|[()]", re.DOTALL)
_KEY = re.compile(r"\[([^\]\s]+)\]=")
_REPLACED = re.compile(r"\$\{[A-Za-z_]\w*(?:\[[^\]]*\])?[/#%]")
_SUBSTITUTION = re.compile(r"\bs([^\w\s\\])((?:(?!\1)(?:\\.|.))+)\1")
_FUNCTION_PARENTHESES = re.compile(r"[ \t]*\([ \t]*\)")

_GO_ON = frozenset(("then", "else", "elif", "do", "!"))
_LOOPS = ("while", "until", "for", "select")
_CLOSES = {"fi": ("if",), "done": _LOOPS, "esac": ("case",), "}": ("{",)}
_RESERVED = frozenset((*_GO_ON, *_LOOPS, *_CLOSES, "if", "case", "{", "function", "[["))

# Commands that decide by a value, that declare variables, and that replace text.
_TESTS = frozenset(("[", "test", "grep"))
_DECLARES = frozenset(("declare", "typeset", "local", "export", "readonly"))
_EDITORS = frozenset(("sed", "awk", "perl", "tr"))

# Programs and builtins that run the command in their arguments.
_RUNNERS = frozenset(("sudo", "doas", "exec", "command", "builtin", "time", "env", "nohup"))


@dataclass(frozen=True, slots=True)
class Word:
    """A word as `written`, and its `value` without quotes; expansions stay as written.

    `is_literal` if the shell expands nothing in it, so that the program receives exactly `value`.
    """

    written: str
    value: str
    is_literal: bool = True

    @property
    def base(self) -> str:
        """The value without leading folders: the name of a program."""
        return self.value.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Command:
    """A simple command: its words, without leading assignments and redirections.

    `piped` if its output, or that of the group that it ends, is piped; `stdin` is the text of a heredoc.
    `written` if its output is redirected to a file.
    """

    words: tuple[Word, ...]
    piped: bool = False
    stdin: str | None = None
    written: bool = False

    @property
    def values(self) -> tuple[str, ...]:
        """The words without quotes."""
        return tuple(word.value for word in self.words)

    @property
    def program(self) -> tuple[Word, ...]:
        """The words of the program without wrappers: curl in `sudo -E curl x` and `env A=b curl x`."""
        words = self.words
        while words[0].base in _RUNNERS and (rest := tuple(dropwhile(_is_setting, words[1:]))):
            words = rest
        return words

    @property
    def name(self) -> str:
        """The program's name, without its folder."""
        return self.program[0].base

    @property
    def script(self) -> str | None:
        """The script for another POSIX shell, from `sh -c` or a heredoc; None if it runs no script."""
        shell, *arguments = self.program
        if not POSIX_SHELL.fullmatch(shell.value):
            return None
        operands: list[str] = []
        takes_command = skip = False
        for word in arguments:
            if not operands and not skip and word.value[:1] in ("-", "+") and word.value[1:2] != "-":
                takes_command |= "c" in word.value
                skip = "o" in word.value  # its value is the next word: -o pipefail
            elif skip or (not operands and word.value.startswith("--")):
                skip = False
            else:
                operands.append(word.value)
        if takes_command:
            return operands[0] if operands else None
        return None if operands else self.stdin


@dataclass(frozen=True, slots=True)
class Choice:
    """A part of a script that depends on a value when it runs, from `start` to `end` in the text.

    `by` is the text that decides: the patterns of a case, the conditions of an if, a test before && or ||,
    the keys of an array, what a substitution replaces, or the name of a variable. It is None for a comment.
    """

    start: int
    end: int
    by: str | None


def _is_setting(word: Word) -> bool:
    return word.value.startswith("-") or _ASSIGNMENT.match(word.written) is not None


def script(instruction: Instruction) -> str:
    """Return the script of a RUN in shell form, as the shell receives it; "" for other instructions.

    If a heredoc is the only argument, its body is the script, unless its first line names another
    interpreter.
    """
    if instruction.keyword != "RUN" or instruction.is_exec_form:
        return ""
    arguments, heredocs = instruction.arguments, instruction.heredocs
    if not heredocs or read_opening(arguments) is None:
        return "\n".join((arguments, *(f"{one.content}{one.name}" for one in heredocs)))
    body = heredocs[0].content
    if body.startswith("#!") and not _SHEBANG.match(body):
        return ""
    return _LEADING_TABS.sub("", body) if heredocs[0].chomp else body


def choices(text: str) -> tuple[Choice, ...]:
    """Return the parts of a script that its values decide, also those in substitutions, and its comments."""
    return _read(text)[2]


def commands(text: str) -> tuple[Command, ...]:
    """Return the simple commands of a script, in order, without those in quotes and substitutions."""
    return _read(text)[0]


def every_command(text: str) -> Iterator[Command]:
    """Yield the simple commands of a script, and instead of `sh -c` those of its script."""
    waiting = [iter(commands(text))]  # a stack, because scripts can contain scripts of any depth
    while waiting:
        command = next(waiting[-1], None)
        if command is None:
            waiting.pop()
        elif (script := command.script) is not None:
            waiting.append(iter(commands(script)))
        else:
            yield command


def tokens(text: str) -> tuple[Word | str, ...]:
    """Return the words, operators, redirections and heredoc bodies of a script."""
    return _read(text)[1]


@lru_cache(maxsize=4096)
def _read(text: str) -> tuple[tuple[Command, ...], tuple[Word | str, ...], tuple[Choice, ...]]:
    reader = _Reader(text)
    try:
        reader.run()
    except RecursionError:
        return (), (text,), ()  # hundreds of nested substitutions: not a real script
    found = tuple(Command(tuple(one.words), one.piped, one.stdin, one.written) for one in reader.found)
    return found, tuple(reader.tokens), tuple(reader.choices)


@dataclass(slots=True)
class _OpenCommand:
    """A simple command that is being read; `started` also after an assignment or a redirection."""

    words: list[Word] = field(default_factory=list)
    piped: bool = False
    stdin: str | None = None
    written: bool = False
    started: bool = False
    start: int = 0


@dataclass(frozen=True, slots=True)
class _Compound:
    """An open compound command; `before` is the number of commands before it, `by` what decides in it."""

    kind: str
    before: int
    start: int
    by: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Heredoc:
    """A heredoc whose body begins after the next newline."""

    command: _OpenCommand
    end: Word
    chomp: bool
    is_stdin: bool

    @property
    def expands(self) -> bool:
        """Whether the shell expands its body; a backslash then also joins lines."""
        return not any(sign in self.end.written for sign in "'\"\\")


class _Words:
    """Token recognition (2.3): words with their quotes and expansions, and operators."""

    def __init__(self, text: str, at: int = 0) -> None:
        self.text = text
        self.at = at
        self.expands = False
        self.tokens: list[Word | str] = []
        self.choices: list[Choice] = []
        self.start = at  # of the last token

    def token(self) -> Word | str | None:
        """Return the next word or operator; None at the end."""
        self.at = self._end(_BLANKS)
        if self.text.startswith("#", self.at):
            line_end = self.text.find("\n", self.at)
            line_end = len(self.text) if line_end < 0 else line_end
            self.choices.append(Choice(self.at, line_end, None))
            self.at = line_end
        self.start = self.at
        if self.at >= len(self.text):
            return None
        if simple := _SIMPLE_WORD.match(self.text, self.at):
            self.at = simple.end()
            self.tokens.append(word := Word(simple[0], simple[0]))
            return word
        found = _REDIRECTION.match(self.text, self.at) or _OPERATOR.match(self.text, self.at)
        item: Word | str = found[0] if found else self._word()
        self.at = found.end() if found else self.at
        if item != "\n":
            self.tokens.append(item)
        return item

    def _end(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self.text, self.at)
        return found.end() if found else self.at

    def _take(self, pattern: re.Pattern[str]) -> str:
        start, self.at = self.at, self._end(pattern)
        return self.text[start : self.at]

    def _word(self) -> Word:
        start, value, self.expands = self.at, "", False
        while self.at < len(self.text):
            char = self.text[self.at]
            if plain := self._take(_PLAIN):
                self.expands |= _GLOB_OR_BRACES.search(plain) is not None
                value += plain
            elif char == "\\":
                value += self._escaped()
            elif char in "'\"":
                value += self._single() if char == "'" else self._double()
            elif char in "$`":
                value += self._expansion()
            elif char in "<>" and self.text.startswith("(", self.at + 1):
                value += self._substituted(self.at + 2)
            else:
                break
        return Word(self.text[start : self.at], value, not self.expands)

    def _escaped(self) -> str:
        char = self.text[self.at + 1 : self.at + 2]
        self.at += 2
        return "" if char == "\n" else char or "\\"

    def _single(self) -> str:
        start, end = self.at + 1, self.text.find("'", self.at + 1)
        end = len(self.text) if end < 0 else end
        self.at = end + 1
        return self.text[start:end]

    def _double(self) -> str:
        self.at += 1
        value = ""
        while self.at < len(self.text) and (char := self.text[self.at]) != '"':
            if char == "\\":
                following = self.text[self.at + 1 : self.at + 2]
                kept = "" if following and following in '$`"\\\n' else char
                value += kept + ("" if following == "\n" else following)
                self.at += 2
            elif char in "$`":
                value += self._expansion(quoted=True)
            else:
                value += self._take(_IN_DOUBLE_QUOTES)
        self.at += 1
        return value

    def _expansion(self, *, quoted: bool = False) -> str:
        """Read a `$` or backtick expansion as written; a `$` that expands nothing is text."""
        text, start = self.text, self.at
        if text.startswith("$((", start) and (end := self._arithmetic_end(start + 1)):
            self.at = end
        elif text.startswith("$(", start):
            return self._substituted(start + 2)
        elif text.startswith("${", start):
            self._braces(quoted=quoted)
        elif text.startswith("`", start):
            self._take(_BACKTICKS)
        elif text.startswith("$'", start) and not quoted:
            self._take(_ANSI_QUOTES)
        elif not self._take(_PARAMETER):
            self.at += 1
            return "$"
        self.expands = True
        return text[start : self.at]

    def _substituted(self, start: int) -> str:
        """Read a command or process substitution whose script begins at `start`."""
        written, inner = self.at, _Reader(self.text, start, nested=True)
        inner.run()
        self.choices += inner.choices
        self.at, self.expands = inner.at, True
        return self.text[written : self.at]

    def _braces(self, *, quoted: bool) -> None:
        start = self.at
        self.at += 2
        while self.at < len(self.text) and (char := self.text[self.at]) != "}":
            if char == "'" and not quoted:
                self._single()
            elif char == '"':
                self._double()
            elif char in "$`":
                self._expansion(quoted=quoted)
            else:
                self.at += 2 if char == "\\" else 1
        self.at += 1
        written = self.text[start : self.at]
        if _REPLACED.match(written):
            self.choices.append(Choice(start, self.at, written))

    def _arithmetic_end(self, start: int) -> int:
        """Return the end of the `((…))` at `start`; 0 if these are two subshells: `((a); b)`."""
        depth = 0
        for found in _ARITHMETIC.finditer(self.text, start):
            if found[0] == ")" and depth == 2:
                return found.end() + 1 if self.text.startswith(")", found.end()) else 0
            depth += {"(": 1, ")": -1}.get(found[0], 0)
        return 0


class _Reader(_Words):
    """The parts of the grammar (2.10) that decide where a simple command begins and ends.

    `open` are the compound commands around the current position; `closed` is the number of commands before
    one that has just ended. `test` is a test whose and-or list has not ended. A nested reader ends at `)`.
    """

    def __init__(self, text: str, at: int = 0, *, nested: bool = False) -> None:
        super().__init__(text, at)
        self.nested = nested
        self.found: list[_OpenCommand] = []
        self.current = _OpenCommand()
        self.open: list[_Compound] = []
        self.test: _Compound | None = None
        self.closed: int | None = None
        self.elif_at = -1  # the end of the last `elif`
        self.heredocs: list[_Heredoc] = []

    def run(self) -> None:
        """Read to the end, or to the `)` that ends a substitution."""
        while (item := self.token()) is not None:
            if isinstance(item, Word):
                self._take_word(item)
            elif _REDIRECTION.fullmatch(item):
                self._redirect(item)
            elif item == "(":
                self._open_parenthesis()
            elif item == ")":
                self._finish(item)
                if not self._close("(") and self.nested:
                    return
            else:
                self._finish(item)
        self._finish("")

    def _take_word(self, word: Word) -> None:
        if not self.current.started and word.written in _RESERVED:
            self._reserved(word.written)
            return
        self.closed = None
        if not self.current.started:
            self.current.started, self.current.start = True, self.start
        is_assignment = _ASSIGNMENT.match(word.written)
        if is_assignment and (not self.current.words or self.current.words[0].value in _DECLARES):
            self.choices.append(Choice(self.start, self.at, is_assignment[0]))
        elif self.current.words and self.current.words[0].base in _EDITORS:
            replaced = " ".join(found[2] for found in _SUBSTITUTION.finditer(word.written))
            self.choices.append(Choice(self.start, self.at, replaced))
        if self.current.words or not is_assignment:
            self.current.words.append(word)

    def _reserved(self, word: str) -> None:
        """Process a reserved word at the beginning of a command."""
        self.closed = None
        start = self.start
        if word in _CLOSES:
            self._close(*_CLOSES[word])
        elif word == "function":
            self.token()
            self._take(_FUNCTION_PARENTHESES)
        elif word == "[[":
            self.closed = len(self.found)
            self._skip_to("]]")
            self.test = self.test or _Compound("[[", len(self.open), start, [self.text[start : self.at]])
        elif word in ("then", "elif"):
            self._decide(word)
        elif word not in _GO_ON:
            self.open.append(_Compound(word, len(self.found), start))
            if word in ("for", "select"):
                self._loop()
            elif word == "case":
                self._skip_to("in")
                self.open[-1].by.append(self.text[start : self.at])
                self._patterns()

    def _decide(self, word: str) -> None:
        """Add the condition between `if` or `elif` and `then` to what decides in the innermost if."""
        if self.open and self.open[-1].kind == "if":
            inner = self.open[-1]
            if word == "elif":
                self.elif_at = self.at
            else:
                begin = self.elif_at if self.elif_at > inner.start else inner.start
                inner.by.append(self.text[begin : self.start])

    def _loop(self) -> None:
        """Skip the name and words of `for name in words`."""
        self.at = self._end(_BLANKS)
        if self.text.startswith("((", self.at):
            self.at = self._arithmetic_end(self.at) or self.at
            return
        self.token()
        is_list = False
        while (item := self.token()) is not None and not (is_list and item in (";", "\n")):
            if isinstance(item, Word) and item.written == "do" and not is_list:
                return
            is_list |= isinstance(item, Word) and item.written == "in"

    def _patterns(self) -> None:
        """Skip the patterns of a case up to their `)`, or end the case."""
        is_first, start = True, self.at
        while (item := self.token()) is not None and item != ")":
            if isinstance(item, Word) and item.written == "esac" and is_first:
                self._close("case")
                return
            is_first &= item == "\n"
        self.open[-1].by.append(self.text[start : self.at])

    def _skip_to(self, end: str) -> int:
        """Skip tokens up to `end`. Returns the number of skipped tokens."""
        count = 0
        while (item := self.token()) is not None:
            if (item.written if isinstance(item, Word) else item) == end:
                break
            count += 1
        return count

    def _redirect(self, operator: str) -> None:
        if not self.current.started:
            self.current.started, self.current.start = True, self.start
        target = self.token()
        if isinstance(target, Word):
            self.tokens[-2:] = [operator + target.written]
        kind = operator.lstrip("0123456789")
        self.current.written |= operator.removeprefix("1") in _WRITES
        if not isinstance(target, Word):
            self._finish(target or "")
        elif kind in ("<<", "<<-"):
            is_stdin = operator[0] in "<0"
            self.heredocs.append(_Heredoc(self.current, target, kind == "<<-", is_stdin))
        elif kind == "<<<":
            self.current.stdin = f"{target.value}\n"

    def _open_parenthesis(self) -> None:
        """Begin a subshell, skip arithmetic or an array, or begin a function: `name ()`."""
        if self.current.started:
            start = self.at
            if self._skip_to(")") == 0 and len(self.current.words) == 1:
                self.current = _OpenCommand()
            keys = " ".join(_KEY.findall(self.text[start : self.at]))
            self.choices.append(Choice(start, self.at, keys))
        elif self.text.startswith("((", self.at - 1) and (end := self._arithmetic_end(self.at - 1)):
            self.at, self.closed = end, len(self.found)
        else:
            self.open.append(_Compound("(", len(self.found), self.start))

    def _close(self, *kinds: str) -> bool:
        """End the innermost compound command of one of these kinds, and all that are open within it."""
        at = next((at for at in range(len(self.open) - 1, -1, -1) if self.open[at].kind in kinds), -1)
        if at < 0:
            return False
        found = self.open[at]
        if found.by:
            self.choices.append(Choice(found.start, self.at, "\n".join(found.by)))
        self.closed = found.before
        del self.open[at:]
        return True

    def _finish(self, separator: str) -> None:
        """End a command. A pipe after a compound command counts for the last command in it."""
        self._end_test(separator)
        if self.current.words:
            self.found.append(self.current)
            self.current.piped = separator in _PIPES
        elif separator in _PIPES and self.closed is not None and self.closed < len(self.found):
            self.found[-1].piped = True
        self.current, self.closed = _OpenCommand(), None
        if separator == "\n":
            self._bodies()
        elif separator in _NEXT_PATTERN and self.open and self.open[-1].kind == "case":
            self._patterns()

    def _end_test(self, separator: str) -> None:
        """Begin a choice at a test, and end it with its and-or list."""
        current = self.current
        if current.words and current.words[0].base in _TESTS and self.test is None:
            self.test = _Compound("[", len(self.open), current.start, [self.text[current.start : self.at]])
        if self.test and separator not in _AND_OR and len(self.open) <= self.test.before:
            self.choices.append(Choice(self.test.start, self.at, self.test.by[0]))
            self.test = None

    def _bodies(self) -> None:
        for heredoc in self.heredocs:
            lines = [*self._body(heredoc)]
            body = "".join(f"{line}\n" for line in lines)
            self.tokens.append(body)
            if heredoc.is_stdin:
                heredoc.command.stdin = body
        self.heredocs.clear()

    def _body(self, heredoc: _Heredoc) -> Iterator[str]:
        while self.at < len(self.text):
            line = self._line()
            while heredoc.expands and _continues(line) and self.at < len(self.text):
                line = line[:-1] + self._line()
            line = line.lstrip("\t") if heredoc.chomp else line
            if line == heredoc.end.value:
                return
            yield line

    def _line(self) -> str:
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        line, self.at = self.text[self.at : end], end + 1
        return line


def _continues(line: str) -> bool:
    """Whether an odd number of backslashes ends a line."""
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1
