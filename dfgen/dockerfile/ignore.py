"""Path patterns: those of ignore files as in moby/patternmatcher, those of COPY as in Go's filepath.Match.

The two languages differ in details (`**`, letters after a backslash); this module reproduces them, with
their errors. See https://docs.docker.com/build/concepts/context/#dockerignore-files and
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
# Letters with a meaning after a backslash in Go's regular expressions; others are errors.
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
    """Go rejects the pattern."""


def clean(path: str) -> str:
    """Normalize a path like Go's filepath.Clean; an empty path becomes "."."""
    found = posixpath.normpath(path)
    return found[1:] if found.startswith("//") else found


def is_wild(path: str) -> bool:
    """Whether a path of COPY contains a wildcard that is not escaped by a backslash."""
    at = 0
    while at < len(path):
        if path[at] in _WILD:
            return True
        at += 2 if path[at] == "\\" else 1
    return False


# Go's filepath.Match.


@lru_cache(maxsize=4096)
def glob(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of Go's filepath.Match, for `fullmatch`. Raises PatternError if Go rejects it."""
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
    """Translate a class, from after its `[`; as in Go it may match `/`."""
    negated = pattern.startswith("^", at)
    at += negated
    ranges = ""
    first = True
    while first or not pattern.startswith("]", at):
        low, at = _class_member(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _class_member(pattern, at + 1)
        if low <= high:  # otherwise the range matches nothing in Go, without an error
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
        """Parse a pattern; None for an empty one. Raises PatternError if BuildKit rejects it."""
        text = text.strip(SPACES)
        if not text:
            return None
        text = clean(text)
        is_exception = text.startswith("!")
        if text == "!":
            raise PatternError("nothing follows the !")
        text = text.removeprefix("!")
        glob(text)  # BuildKit checks the syntax with filepath.Match when it reads a pattern
        found = cls(text, is_exception)
        found.matches("")  # and compiles the regular expression when it first uses it
        return found

    def matches(self, path: str) -> bool:
        """Whether it matches a path itself; `Patterns` handles the contents of matching folders."""
        return self._regex.fullmatch(path) is not None

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        try:
            return re.compile(_translated(self.text), re.ASCII)
        except re.error as error:
            raise PatternError(f"as a regular expression: {error}") from error


class _Translation:
    """The translation of patternmatcher: to a regular expression, or to a simpler comparison."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.kind = "exact"
        self.regex = ""

    def run(self) -> None:
        """Translate the pattern: sets Go's regular expression and the kind of comparison."""
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
        """Add a part that needs a regular expression."""
        self.regex += text
        self.kind = "regex"

    def star(self, at: int, *, first: bool) -> int:
        """Translate `*` or `**`; `at` is after the first star. Returns the start of the rest."""
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
    """Translate a pattern to a regular expression of Python, for `fullmatch`."""
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
    """Translate a regular expression from Go to Python, as far as patterns can contain it."""
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
    """Translate a character after a backslash. Raises PatternError for an escape that Go rejects."""
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
    """Translate a member of a class, which may be a range or a named class."""
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
    """Whether a path is matched, and by which patterns; the contents of a folder inherit this."""

    is_matched: bool
    by: tuple[bool, ...]


class Patterns:
    """An ordered list of patterns: the last match decides, and `!` reverts a match."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        """Create the list, in the order of the file."""
        self._patterns = tuple(patterns)
        self._exceptions = tuple(
            one.text.removesuffix("/**").removesuffix("/*") for one in self._patterns if one.is_exception
        )

    @classmethod
    def of(cls, texts: Iterable[str]) -> Patterns:
        """Parse patterns, for example of `COPY --exclude`. Raises PatternError."""
        return cls(one for text in texts if (one := Pattern.parse(text)))

    @classmethod
    def of_file(cls, raw: bytes, file: str) -> Patterns:
        """Parse an ignore file. Raises InputError with the line of every pattern that BuildKit rejects."""
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
        """Whether an exception may re-include something in a matching folder."""
        return any(
            _SPECIAL.search(one) is not None or f"{one}/".startswith(f"{folder}/") for one in self._exceptions
        )

    def judge(self, path: str, above: Verdict | None = None) -> Verdict:
        """Match a path, with the verdict on its folder; None for entries of the root."""
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
    """Yield the patterns of an ignore file with their lines."""
    text = raw.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("#"):
            continue
        pattern = line.strip(SPACES)
        prefix = "!" if pattern.startswith("!") else ""
        pattern = pattern.removeprefix("!").strip(SPACES)
        if pattern:
            pattern = clean(pattern)
            pattern = pattern[1:] if pattern.startswith("/") and len(pattern) > 1 else pattern
        if prefix or pattern:
            yield number, f"{prefix}{pattern}"
