"""Patterns of paths: ignore files as moby/patternmatcher reads them, COPY's wildcards as Go's filepath.Match.

The two languages differ in details (`**`, letters after a backslash), which are kept here with their errors.
See https://docs.docker.com/build/concepts/context/#dockerignore-files and
https://pkg.go.dev/path/filepath#Match.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from dfgen.dockerfile.lexer import SPACES
from dfgen.errors import InputError, Place, Problem, printable

_NEVER = r"(?!)"
_ANY = r"[\s\S]"
_WILD = "*?["
_SPECIAL = re.compile(r"[*\[\]?^\\]")
# Letters that mean something after a backslash in Go's regular expressions; others are errors there.
_LETTERS = frozenset("dDsSwWbBaftnrv")
_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "digit": "0-9",
    "lower": "a-z",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
    "space": r"\t\n\v\f\r ",
    "blank": r"\t ",
    "punct": r"!-/:-@\[-`{-~",
}


class PatternError(ValueError):
    """A pattern that Go refuses."""


def clean(path: str) -> str:
    """Clean a path as Go's filepath.Clean does; "." if nothing is left."""
    found = posixpath.normpath(path)
    return found[1:] if found.startswith("//") else found


def is_wild(path: str) -> bool:
    """Whether a path of COPY has a wildcard; a backslash keeps the next character from being one."""
    at = 0
    while at < len(path):
        if path[at] in _WILD:
            return True
        at += 2 if path[at] == "\\" else 1
    return False


# Go's filepath.Match.


@lru_cache(maxsize=4096)
def glob(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of Go's filepath.Match, for `fullmatch`. Raises PatternError if Go refuses it."""
    text, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            text += "[^/]*"
        elif char == "?":
            text += "[^/]"
        elif char == "[":
            found, at = _glob_class(pattern, at)
            text += found
        elif char == "\\":
            if at == len(pattern):
                raise PatternError("it ends with a backslash")
            text += re.escape(pattern[at])
            at += 1
        else:
            text += re.escape(char)
    return re.compile(text)


def _glob_class(pattern: str, at: int) -> tuple[str, int]:
    """Translate a class from behind its `[`; it may match `/`, as in Go."""
    negated = pattern.startswith("^", at)
    at += negated
    ranges = ""
    first = True
    while first or not pattern.startswith("]", at):
        low, at = _class_member(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _class_member(pattern, at + 1)
        if low <= high:  # else Go's range matches nothing, and is no error
            ranges += f"{re.escape(low)}-{re.escape(high)}"
        first = False
    if not ranges:
        return (_ANY if negated else _NEVER), at + 1
    return f"[{'^' if negated else ''}{ranges}]", at + 1


def _class_member(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at : at + 1] in ("", "-", "]"):
        raise PatternError("a [] class is empty or not closed")
    if pattern[at] == "\\":
        at += 1
    if at + 1 >= len(pattern):
        raise PatternError("a [] class is empty or not closed")
    return pattern[at], at + 1


# moby/patternmatcher.


@dataclass(frozen=True)
class Pattern:
    """One pattern of an ignore file or of `COPY --exclude`, cleaned and without its `!`."""

    text: str
    is_exception: bool = False

    @classmethod
    def parse(cls, text: str) -> Pattern | None:
        """Read a pattern, None for blanks. Raises PatternError if BuildKit refuses it."""
        text = text.strip(SPACES)
        if not text:
            return None
        text = clean(text)
        is_exception = text.startswith("!")
        if text == "!":
            raise PatternError("nothing follows the !")
        text = text.removeprefix("!")
        glob(text)  # BuildKit checks the syntax in this way alone
        found = cls(text, is_exception)
        found.matches("")  # and the regular expression once it is used
        return found

    def matches(self, path: str) -> bool:
        """Whether it matches a path itself; what lies below a folder is up to `Patterns`."""
        return self._regex.fullmatch(path) is not None

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        try:
            return re.compile(_translated(self.text), re.ASCII)
        except re.error as error:
            raise PatternError(f"as a regular expression: {error}") from error


class _Translation:
    """The steps in which patternmatcher makes a regular expression, or finds that it needs none."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.kind = "exact"
        self.regex = ""

    def run(self) -> None:
        """Translate: Go's regular expression, and the kind of comparison."""
        text, at, first = self.pattern, 0, True
        while at < len(text):
            char = text[at]
            at += 1
            if char == "*":
                at = self.star(at, first=first)
            elif char == "?":
                self.add("[^/]")
            elif char in ".+()|{}$":
                self.regex += f"\\{char}"
            elif char == "\\" and at < len(text):
                self.add(f"\\{text[at]}")
                at += 1
            elif char in "[]":
                self.add(char)
            else:
                self.regex += char
            first = False

    def add(self, text: str) -> None:
        """Add what only a regular expression can say."""
        self.regex += text
        self.kind = "regex"

    def star(self, at: int, *, first: bool) -> int:
        """Translate `*` or `**`, of which `at` is behind the first star; return where the rest begins."""
        text = self.pattern
        if not text.startswith("*", at):
            self.add("[^/]*")
            return at
        at += 1
        at += text.startswith("/", at)
        if at < len(text):
            self.add("(.*/)?")
        elif self.kind == "exact":
            self.kind = "prefix"
        else:
            self.add(".*")
        if first:
            self.kind = "suffix"
        return at


def _translated(pattern: str) -> str:
    """Translate a pattern to one of Python's, for `fullmatch`."""
    step = _Translation(pattern)
    step.run()
    if step.kind == "exact":
        return re.escape(pattern)
    if step.kind == "prefix":
        return f"{re.escape(pattern[:-2])}{_ANY}*"
    if step.kind == "suffix":  # `**x` is any path that ends with x, and `**/x` also x itself
        rest = pattern[2:]
        own = f"|{re.escape(rest[1:])}" if rest.startswith("/") else ""
        return f"(?:{_ANY}*{re.escape(rest)}{own})"
    return _python(step.regex)


def _python(regex: str) -> str:
    """Translate a regular expression of Go, as far as a pattern can lead to one, to Python's."""
    text, at = "", 0
    while at < len(regex):
        char = regex[at]
        at += 1
        if char == "\\":
            text += _escaped(regex[at : at + 1])
            at += 1
        elif char == "[":
            found, at = _regex_class(regex, at)
            text += found
        else:
            text += char if char in ".*?()^" else re.escape(char)
    return text


def _escaped(char: str) -> str:
    """Translate what is behind a backslash. Raises PatternError for what means nothing to Go."""
    if char in _LETTERS:
        return f"\\{char}"
    if not char or char.isalnum() or not char.isascii():
        raise PatternError(f"\\{char} is not a valid escape")
    return re.escape(char)


def _regex_class(regex: str, at: int) -> tuple[str, int]:
    negated = regex.startswith("^", at)
    at += negated
    members = ""
    first = True
    while first or not regex.startswith("]", at):
        found, at = _members(regex, at)
        members += found
        first = False
    return f"[{'^' if negated else ''}{members}]", at + 1


def _members(regex: str, at: int) -> tuple[str, int]:
    """Translate one member of a class, which may be a range or a class of its own."""
    if regex.startswith("[:", at) and (end := regex.find(":]", at + 2)) > 0:
        if regex[at + 2 : end] not in _POSIX:
            raise PatternError(f"{regex[at : end + 2]} is not a character class")
        return _POSIX[regex[at + 2 : end]], end + 2
    low, at = _member(regex, at)
    if not regex.startswith("-", at) or regex[at + 1 : at + 2] in ("", "]"):
        return low, at
    high, at = _member(regex, at + 1)
    return f"{low}-{high}", at


def _member(regex: str, at: int) -> tuple[str, int]:
    if at >= len(regex):
        raise PatternError("a [] class is not closed")
    if regex[at] == "\\":
        return _escaped(regex[at + 1 : at + 2]), at + 2
    return re.escape(regex[at]), at + 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a path is matched, and by which patterns: what lies below a folder starts from those."""

    is_matched: bool
    by: tuple[bool, ...]


class Patterns:
    """An ordered list of patterns: the last that applies decides, and `!` takes a match back."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        """Take the patterns in their order."""
        self._patterns = tuple(patterns)
        self._exceptions = tuple(
            one.text.removesuffix("/**").removesuffix("/*") for one in self._patterns if one.is_exception
        )

    @classmethod
    def of(cls, texts: Iterable[str]) -> Patterns:
        """Read patterns such as those of `COPY --exclude`. Raises PatternError."""
        return cls(one for text in texts if (one := Pattern.parse(text)))

    @classmethod
    def of_file(cls, raw: bytes, file: str) -> Patterns:
        """Read an ignore file. Raises InputError with the line of every pattern that BuildKit refuses."""
        found: list[Pattern] = []
        problems: list[Problem] = []
        for line, text in _lines(raw):
            try:
                if one := Pattern.parse(text):
                    found.append(one)
            except PatternError as error:
                message = f"the pattern {printable(text)!r} is invalid: {error}; BuildKit rejects it"
                problems.append(Problem(Place(file, line), message))
        if problems:
            raise InputError(problems)
        return cls(found)

    def except_below(self, folder: str) -> bool:
        """Whether an exception may bring back something in a folder that is matched."""
        return any(
            _SPECIAL.search(one) is not None or f"{one}/".startswith(f"{folder}/") for one in self._exceptions
        )

    def judge(self, path: str, above: Verdict | None = None) -> Verdict:
        """Judge a path, given the verdict on its folder; None for what lies in the root."""
        by: list[bool] = []
        matched = False
        for at, one in enumerate(self._patterns):
            found = above is not None and above.by[at]
            if not found and one.is_exception == matched:
                found = one.matches(path)
            if found:
                matched = not one.is_exception
            by.append(found)
        return Verdict(matched, tuple(by))


def _lines(raw: bytes) -> Iterator[tuple[int, str]]:
    """Yield the patterns of an ignore file, each with its line."""
    text = raw.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("#"):
            continue
        pattern = line.strip(SPACES)
        mark = "!" if pattern.startswith("!") else ""
        pattern = pattern.removeprefix("!").strip(SPACES)
        if pattern:
            pattern = clean(pattern)
            pattern = pattern[1:] if pattern.startswith("/") and len(pattern) > 1 else pattern
        if mark or pattern:
            yield number, f"{mark}{pattern}"
