"""Heredocs of RUN, COPY and ADD: which ones a line opens, and their bodies."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from dfgen.dockerfile.shellwords import plain_words, quoted_words, raw_words

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
