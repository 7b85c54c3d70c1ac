"""From physical lines to statements: directives, comments, continuation lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from dfgen.dockerfile.shellwords import SPACES

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
