"""Values in what a POSIX shell reads: RUN, CMD, ENTRYPOINT and HEALTHCHECK in shell form.

This is not the reader of `dfgen.dockerfile.shell`, which finds the commands of a finished script and may
leave out what it is not sure of. Here the question is how a value has to be quoted at one position, in text
that is not finished, and every doubt has to refuse the value. A shared lexer would need both answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dfgen.templating.quoting.values import HOLE, Hole, RefusedError, Spot, name, one_line, spot_at, strict

_TOKEN = re.compile(f"\\$\\(\\(|\\$\\(|\\(\\(|\\$\\{{|\\$'|[\\\\\"'`$(){{}};&|\\n#<]|{HOLE}")
_SAFE_WORD = re.compile(r"(?!~)(?:[A-Za-z0-9_@%+,./^-]|[=:](?!~)|(?<![=:])~)+")
_BLANKS = re.compile(r"([ \t]+)")
_RESERVED = frozenset(
    ("if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "in", "time")
)
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_COMMAND_POSITION = re.compile(
    r"(?:^|[;&|(!{\n]|(?<![\w-])(?:then|do|else|elif|if|while|until|time)(?=\s))\s*"
    r"(?:[A-Za-z_]\w*=\S*\s+)*$"
)
_HEREDOC_NAME = re.compile(r"(?<!<)<<-?[ \t]*$")
_SEPARATORS = frozenset(("", " ", "\t", "\n", ";", "&", "|", "(", ")", "<", ">"))

# Quoted text after these is code that is read again.
_CODE_OPTION = re.compile(r"(?:^|\s)-[A-Za-z]*c\s*$")
_INTERPRETER_OPTION = re.compile(
    r"(?<![\w.-])(?:perl|ruby|node|php|lua|(?:ba|da|z|k|a)?sh)(?![\w.-])(?:.*\s)?-[A-Za-z]*[er]\s*$",
    re.DOTALL,
)
_CODE_COMMAND = re.compile(r"\s*(?:\w+=\S*\s+)*(?:\S*/)?(?:eval|trap|sed|[gmn]?awk)\s")
_NO_CODE = re.compile(
    r"\s*(?:\w+=\S*\s+)*(?:\S*/)?(?:g?cc|[gc]\+\+|clang|head|tail|wc|cut|tar|grep|sort|uniq)\s"
)
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
    """Tells the state of every hole in a shell text, by a stack of what is open.

    The stack's items: `(` a command substitution or a subshell, `"` and `'` quotes, `N` above a quote whose
    text is code for an interpreter, a backtick, `{` a parameter expansion, `+` arithmetic (twice).
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.stack: list[str] = []
        self.command = 0
        self.skip = -1
        self.unclear = False
        self.comment = False
        self.case_inside = "case" in text and bool(_CASE_IN_PARENTHESES.search(text))

    def run(self) -> Iterator[Spot]:
        """One spot a hole, in order."""
        for found in _TOKEN.finditer(self.text):
            sign, at = found[0], found.start()
            if sign == HOLE:
                yield spot_at(self.style(at), self.text, at)
            elif self.comment:
                self.comment = sign != "\n"
            elif at == self.skip:
                self.skip = -1
            elif sign == "\\":
                self.skip = -1 if "'" in self.stack[-2:] and self.top in "'N" else at + 1
            else:
                self.step(sign, at)

    @property
    def top(self) -> str:
        """What is open; the text itself is like the inside of parentheses."""
        return self.stack[-1] if self.stack else "("

    def step(self, sign: str, at: int) -> None:
        """Take a sign that is not escaped."""
        match self.top:
            case "'" | "`":
                self.close(sign, self.top)
            case "N":
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
        """Close what is open if this ends it."""
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
            self.unclear |= self.case_inside
        elif sign == "$'":
            self.unclear = True  # bash has its own quotes here, sh has not
        elif sign in ('"', "'"):
            self.stack += [sign, "N"] if self.is_code(at) else [sign]
        else:
            self.stack.append(sign[-1])

    def in_command(self, sign: str, at: int) -> None:
        """Between commands and their words."""
        if sign in ("$(", "$((", "((", "(", "${", "`", '"', "'", "$'"):
            self.open(sign, at)
        elif sign == ")":
            del self.stack[-1:]
        elif sign in (";", "&", "|", "\n"):
            self.command = at + 1
        elif sign == "#":
            self.comment = self.text[at - 1 : at] in _SEPARATORS
        elif sign == "<" and "\n" in self.text and self.text.startswith("<<", at):
            self.unclear = True  # a here-document within a script

    def in_braces(self, sign: str, at: int) -> None:
        """Within `${…}`."""
        if sign == "}":
            self.stack.pop()
        elif sign in ('"', "'", "`", "$'"):
            self.unclear = True  # shells differ in what a quote means here
        elif sign in ("$(", "$((", "${"):
            self.open(sign, at)

    def in_arithmetic(self, sign: str, at: int) -> None:
        """Within `$((…))`."""
        if sign == ")":
            self.stack.pop()
        elif sign in ("(", "(("):
            self.stack += ["+"] * len(sign)
        elif sign in ("$(", "$((", "${"):
            self.open(sign, at)

    def is_code(self, at: int) -> bool:
        """Whether what begins here is code for another interpreter: `sh -c "…"`, `sed '…'`."""
        command = self.text[self.command : at]
        if _CODE_COMMAND.match(command) or _INTERPRETER_OPTION.search(command):
            return True
        return bool(_CODE_OPTION.search(command)) and not _NO_CODE.match(command)

    def style(self, at: int) -> str:
        """The state at a hole."""
        top = self.top
        for style, holds in (
            ("unclear", self.unclear),
            ("comment", self.comment),
            ("escaped", at == self.skip),
            ("name", self.text[at - 1 : at] == "$" and top not in "'`+"),
            ("name", top == "{" and self.text.endswith("${", 0, at)),
            ("nested" + "".join(self.stack[-2:-1]), top == "N"),
        ):
            if holds:
                return style
        if top != "(":
            return {"'": "single", '"': "double", "`": "backtick", "+": "arithmetic", "{": "braces"}[top]
        if _HEREDOC_NAME.search(self.text, max(0, at - 8), at):
            return "heredoc"
        return "nested" if self.is_code(at) else "bare"


def single_quoted(text: str) -> str:
    """The inside of single quotes."""
    return text.replace("'", "'\\''")


def double_quoted(text: str) -> str:
    """The inside of double quotes."""
    return re.sub(r'([\\"$`])', r"\\\1", text)


def word(text: str) -> str:
    """One shell word, in quotes only where it needs them."""
    return text if _SAFE_WORD.fullmatch(text) else f"'{single_quoted(text)}'"


def _word(spot: Spot, text: str) -> str:
    """One word where it stands: what is harmless alone may not be harmless there."""
    harmful = (
        text in _RESERVED
        or (spot.first and text.startswith("-"))
        or (spot.after in ("<", ">") and text[-1:].isdigit())
        or (_ASSIGNMENT.match(text) and _COMMAND_POSITION.search(spot.leading))
        or spot.extends_variable(text)
    )
    return f"'{single_quoted(text)}'" if harmful else word(text)


def _bare(spot: Spot, hole: Hole, text: str) -> str:
    """A value that is a word of its own is split at blanks; a part of a word stays one word."""
    alone = spot.before in _SEPARATORS and spot.after in _SEPARATORS
    if not text:
        return "''" if hole.is_word and alone else ""
    target = spot.leading.rstrip(" \t").endswith(("<", ">"))
    if hole.is_word or target or not alone:
        return _word(spot, text)
    parts = _BLANKS.split(text)
    return "".join(part if not part or part[0] in " \t" else _word(spot, part) for part in parts)


def _nested(quote: str, hole: Hole, text: str) -> str:
    """A value in code within quotes: as it is if it is harmless, or as a word that the template asked for."""
    if not hole.is_word:
        return strict(text, _WHY["nested"])
    inner = {"'": single_quoted, '"': double_quoted}.get(quote, word)
    return inner(word(text))


def write_shell(spot: Spot, hole: Hole) -> str:
    """Write a value for a spot of a ShellScan."""
    text = one_line(hole.text)
    match spot.style:
        case "bare":
            return _bare(spot, hole, text)
        case "single":
            return single_quoted(text)
        case "double":
            return ('""' if spot.extends_variable(text) else "") + double_quoted(text)
        case "name":
            return name(text)
        case "heredoc":
            raise RefusedError("a heredoc's name cannot be a value; write the name in the template")
        case "nested" | "nested'" | 'nested"':
            return _nested(spot.style[6:], hole, text)
        case style:
            return strict(text, _WHY[style])


def write_other_shell(_spot: Spot, hole: Hole) -> str:
    """Write a value for a shell whose quotes are not known here."""
    return strict(hole.text, _WHY["other"])
