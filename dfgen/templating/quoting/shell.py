"""Quotes values in text that a POSIX shell reads: RUN, CMD, ENTRYPOINT and HEALTHCHECK in shell form.

`dfgen.dockerfile.shell` reads the commands of a complete script and may skip what it cannot analyze. This
module decides how to quote a value at one position of a script that still has placeholders, and rejects the
value in case of doubt. The two would need opposite answers from a shared lexer.
https://pubs.opengroup.org/onlinepubs/9699919799/utilities/V3_chap02.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dfgen.templating.quoting.values import (
    PLACEHOLDER,
    Position,
    PrintedValue,
    UnsafeValueError,
    name,
    one_line,
    position_at,
    strict,
)

# Everything that opens, closes or ends something in a shell. Longer tokens first: `$((` is not `$(` and `(`.
_TOKEN = re.compile(f"\\$\\(\\(|\\$\\(|\\(\\(|\\$\\{{|\\$'|[\\\\\"'`$(){{}};&|\\n#<]|{PLACEHOLDER}")
# A word that needs no quotes. Shells expand `~` at its start, and after `=` or `:` in an assignment.
_SAFE_WORD = re.compile(r"(?!~)(?:[A-Za-z0-9_@%+,./^-]|[=:](?!~)|(?<![=:])~)+")
_BLANKS = re.compile(r"([ \t]+)")
# A value with such a text is quoted: as a bare word it could begin or end a compound command.
_RESERVED = frozenset(
    ("if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "in", "time")
)
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
# Where a command name is expected, after any assignments: there NAME=value would become an assignment.
_COMMAND_POSITION = re.compile(
    r"(?:^|[;&|(!{\n]|(?<![\w-])(?:then|do|else|elif|if|while|until|time)(?=\s))\s*"
    r"(?:[A-Za-z_]\w*=\S*\s+)*$"
)
# `<<` before the value; `<<<` is a here-string, whose word is quoted like any other.
_HEREDOC_NAME = re.compile(r"(?<!<)<<-?[ \t]*$")
_SEPARATORS = frozenset(("", " ", "\t", "\n", ";", "&", "|", "(", ")", "<", ">"))

# Quoted text after these is code for another interpreter. The shell removes one level of quotes, and the
# interpreter parses the rest again, so quoting for the shell does not protect the value.
_CODE_OPTION = re.compile(r"(?:^|\s)-[A-Za-z]*c\s*$")
_INTERPRETER_OPTION = re.compile(
    r"(?<![\w.-])(?:perl|ruby|node|php|lua|(?:ba|da|z|k|a)?sh)(?![\w.-])(?:.*\s)?-[A-Za-z]*[er]\s*$",
    re.DOTALL,
)
_CODE_COMMAND = re.compile(r"\s*(?:\w+=\S*\s+)*(?:\S*/)?(?:eval|trap|sed|[gmn]?awk)\s")
# Programs with a -c that takes no code: `head -c 10`, `tar -c`, `gcc -c`.
_NO_CODE = re.compile(
    r"\s*(?:\w+=\S*\s+)*(?:\S*/)?(?:g?cc|[gc]\+\+|clang|head|tail|wc|cut|tar|grep|sort|uniq)\s"
)
# The `)` of a case pattern does not close the substitution around it; only a full parser could tell.
_CASE_IN_PARENTHESES = re.compile(r"\(.*(?<!\w)case(?!\w)", re.DOTALL)

_ADVICE = "; put the value into an ENV and use the variable here"
_WHY = {
    "nested": f"which is not safe in code for another interpreter{_ADVICE}, or print it with | quote",
    "backtick": f"which is not safe in backticks{_ADVICE}, or write $(…)",
    "arithmetic": f"which is not safe in arithmetic{_ADVICE}",
    "braces": f"which is not safe in ${{…}}{_ADVICE}",
    "escaped": "which is not safe after a backslash; remove the backslash, dfgen quotes the value",
    "unclear": f"which is not safe in shell code that dfgen cannot analyze{_ADVICE}",
    "comment": "which is not safe in a shell comment; use a Dockerfile comment",
    "other": f"which is not safe in the shell set by SHELL{_ADVICE}",
}


class ShellScan:
    """Finds the lexer's state at every placeholder of a shell text, with a stack of open constructs.

    Stack items: `(` for a command substitution or subshell; `"` and `'` for quotes, with `N` above a quote
    that contains code for an interpreter; a backtick; `{` for a parameter expansion; `+` for arithmetic,
    twice because it takes two `)` to close it.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.stack: list[str] = []
        self.command = 0
        self.skip = -1
        self.unclear = False
        self.comment = False
        self.case_inside = "case" in text and bool(_CASE_IN_PARENTHESES.search(text))

    def run(self) -> Iterator[Position]:
        """Yield the positions of all placeholders, in order."""
        for found in _TOKEN.finditer(self.text):
            sign, at = found[0], found.start()
            if sign == PLACEHOLDER:
                yield position_at(self.state(at), self.text, at)
            elif self.comment:
                self.comment = sign != "\n"
            elif at == self.skip:
                self.skip = -1
            elif sign == "\\":
                # A backslash escapes the next character, except in single quotes.
                self.skip = -1 if "'" in self.stack[-2:] and self.top in "'N" else at + 1
            else:
                self.step(sign, at)

    @property
    def top(self) -> str:
        """The innermost open construct; the top level counts as `(`."""
        return self.stack[-1] if self.stack else "("

    def step(self, sign: str, at: int) -> None:
        """Process an unescaped token."""
        match self.top:
            case "'" | "`":
                self.close(sign, self.top)
            case "N":
                # A substitution within nested code would need a second state for the interpreter's own
                # syntax.
                self.unclear |= not self.close(sign, self.stack[-2]) and sign in ("$(", "$((", "${", "`")
            case '"':
                if not self.close(sign, '"') and sign in ("$(", "$((", "${", "`"):
                    self.open(sign, at)
            case "{":
                self.in_braces(sign, at)
            case "+":
                self.in_arithmetic(sign, at)
            case _:
                self.in_command(sign, at)

    def close(self, sign: str, end: str) -> bool:
        """Close the innermost construct if the token ends it."""
        if sign != end:
            return False
        if self.stack.pop() == "N":
            self.stack.pop()
        return True

    def open(self, sign: str, at: int) -> None:
        """Open a quote, a substitution or a group."""
        if sign in ("$((", "(("):
            self.stack += ["+", "+"]
        elif sign in ("$(", "("):
            self.stack.append("(")
            self.unclear |= self.case_inside  # the `)` of its patterns would end this too early
        elif sign == "$'":
            self.unclear = True  # ANSI-C quotes in bash, but a `$` and plain quotes in other shells
        elif sign in ('"', "'"):
            self.stack += [sign, "N"] if self.is_code(at) else [sign]
        else:
            self.stack.append(sign[-1])

    def in_command(self, sign: str, at: int) -> None:
        """Process a token outside quotes and expansions."""
        if sign in ("$(", "$((", "((", "(", "${", "`", '"', "'", "$'"):
            self.open(sign, at)
        elif sign == ")":
            del self.stack[-1:]
        elif sign in (";", "&", "|", "\n"):
            self.command = at + 1
        elif sign == "#":
            self.comment = self.text[at - 1 : at] in _SEPARATORS  # `a#b` is a word
        elif sign == "<" and "\n" in self.text and self.text.startswith("<<", at):
            self.unclear = True  # a here-document within a script: where its body ends is not tracked

    def in_braces(self, sign: str, at: int) -> None:
        """Process a token in `${…}`."""
        if sign == "}":
            self.stack.pop()
        elif sign in ('"', "'", "`", "$'"):
            self.unclear = True  # what a quote means here depends on the shell and on the quotes around it
        elif sign in ("$(", "$((", "${"):
            self.open(sign, at)

    def in_arithmetic(self, sign: str, at: int) -> None:
        """Process a token in `$((…))`."""
        if sign == ")":
            self.stack.pop()
        elif sign in ("(", "(("):
            self.stack += ["+"] * len(sign)
        elif sign in ("$(", "$((", "${"):
            self.open(sign, at)

    def is_code(self, at: int) -> bool:
        """Whether the word at `at` is code for another interpreter: `sh -c "…"`, `sed '…'`."""
        command = self.text[self.command : at]
        if _CODE_COMMAND.match(command) or _INTERPRETER_OPTION.search(command):
            return True
        return bool(_CODE_OPTION.search(command)) and not _NO_CODE.match(command)

    def state(self, at: int) -> str:
        """Return the lexer's state at a placeholder."""
        top = self.top
        for state, holds in (
            ("unclear", self.unclear),
            ("comment", self.comment),
            ("escaped", at == self.skip),
            ("name", self.text[at - 1 : at] == "$" and top not in "'`+"),
            ("name", top == "{" and self.text.endswith("${", 0, at)),
            ("nested" + "".join(self.stack[-2:-1]), top == "N"),
        ):
            if holds:
                return state
        if top != "(":
            return {"'": "single", '"': "double", "`": "backtick", "+": "arithmetic", "{": "braces"}[top]
        if _HEREDOC_NAME.search(self.text, max(0, at - 8), at):
            return "heredoc"
        return "nested" if self.is_code(at) else "bare"


def single_quoted(text: str) -> str:
    """Escape text for single quotes."""
    return text.replace("'", "'\\''")


def double_quoted(text: str) -> str:
    """Escape text for double quotes."""
    return re.sub(r'([\\"$`])', r"\\\1", text)


def word(text: str) -> str:
    """Return text as a single shell word, quoted only if necessary."""
    return text if _SAFE_WORD.fullmatch(text) else f"'{single_quoted(text)}'"


def _word(position: Position, text: str) -> str:
    """Quote a word that its neighbours would give another meaning."""
    is_special = (
        text in _RESERVED
        or (position.is_first and text.startswith("-"))  # BuildKit would read a flag of the instruction
        or (position.after in ("<", ">") and text[-1:].isdigit())  # `2>` redirects a file descriptor
        or (_ASSIGNMENT.match(text) and _COMMAND_POSITION.search(position.leading))
        or position.extends_variable(text)
    )
    return f"'{single_quoted(text)}'" if is_special else word(text)


def _bare(position: Position, value: PrintedValue, text: str) -> str:
    """Write a value outside quotes.

    A value that is a whole word is split at blanks, because templates print lists of packages or options that
    way; a part of a word, the target of a redirection and a value with `quote` stay one word.
    """
    alone = position.before in _SEPARATORS and position.after in _SEPARATORS
    if not text:
        return "''" if value.is_word and alone else ""
    is_target = position.leading.rstrip(" \t").endswith(("<", ">"))
    if value.is_word or is_target or not alone:
        return _word(position, text)
    parts = _BLANKS.split(text)
    return "".join(part if not part or part[0] in " \t" else _word(position, part) for part in parts)


def _nested(quote: str, value: PrintedValue, text: str) -> str:
    """Write a value in code for another interpreter: unquoted and STRICT, or one shell word with `quote`."""
    if not value.is_word:
        return strict(text, _WHY["nested"])
    inner = {"'": single_quoted, '"': double_quoted}.get(quote, word)
    return inner(word(text))


def write_shell(position: Position, value: PrintedValue) -> str:
    """Write a value at a position of a ShellScan. Raises UnsafeValueError."""
    text = one_line(value.text)
    match position.state:
        case "bare":
            return _bare(position, value, text)
        case "single":
            return single_quoted(text)
        case "double":
            # Two quotes end the variable's name: "$A""b".
            return ('""' if position.extends_variable(text) else "") + double_quoted(text)
        case "name":
            return name(text)
        case "heredoc":
            raise UnsafeValueError("a heredoc's name cannot be a value; write the name in the template")
        case "nested" | "nested'" | 'nested"':
            return _nested(position.state[6:], value, text)
        case state:
            return strict(text, _WHY[state])


def write_other_shell(_position: Position, value: PrintedValue) -> str:
    """Write a value for a shell with unknown quoting rules. Raises UnsafeValueError."""
    return strict(value.text, _WHY["other"])
