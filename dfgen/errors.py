"""The errors that a user sees, each with its exit code, and helpers to word them.

DfgenError
  · InputError: the catalog, a template, a lock or the command line is wrong (exit 2)
  · CheckError: a check failed (exit 1)
  · ExternalError: the environment failed (exit 3)

A message reads `place: what is wrong; what to do`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit status of a command."""

    SUCCESS = 0
    CHECK_FAILED = 1  # a check failed: drift, a failed build or smoke test, a mismatch
    BAD_INPUT = 2  # an error in the user's files or on the command line
    ENVIRONMENT = 3  # the environment failed: no engine, registry unreachable, unauthorized, rate-limited


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file; lines and columns count from 1, 0 means unknown.

    `generated` is the line of a generated file that was rendered from here, or "".
    """

    file: str
    line: int = 0
    column: int = 0
    generated: str = ""

    def __str__(self) -> str:
        """Format as `file:line:column`, which editors and CI systems turn into links."""
        parts = [printable(self.file), *(str(n) for n in (self.line, self.column) if n)]
        return ":".join(parts) + (f" ({self.generated})" if self.generated else "")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One error at one place, or at None; `message` is a single line."""

    place: Place | None
    message: str

    def __post_init__(self) -> None:
        """Mask the credentials in the message."""
        object.__setattr__(self, "message", masked(self.message))

    def __str__(self) -> str:
        """Format as `place: message`."""
        return f"{self.place}: {self.message}" if self.place else self.message


class DfgenError(Exception):
    """Base of all errors that are shown to the user: one line per problem, no traceback."""

    exit_code = ExitCode.BAD_INPUT
    excerpt: tuple[str, ...] = ()  # last output of a failed program, without the line in the message

    def __init__(self, problems: str | Problem | Iterable[Problem]) -> None:
        """Accept a message, a problem, or several problems, for example all problems of one file."""
        if isinstance(problems, str):
            problems = Problem(None, problems)
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__(masked("\n".join(str(problem) for problem in self.problems)))


class InputError(DfgenError):
    """The catalog, a template, a lock or the command line is invalid (exit 2)."""


class CheckError(DfgenError):
    """A check failed: drift, a failed build or smoke test, a mismatch (exit 1)."""

    exit_code = ExitCode.CHECK_FAILED


class ExternalError(DfgenError):
    """The environment failed: no engine, an unreachable registry, a full disk (exit 3)."""

    exit_code = ExitCode.ENVIRONMENT
    unreachable = ""  # the host that did not respond, or "" for any other failure
    requests = 1  # number of requests that failed because the host is unreachable
    is_transient = False  # the failure is transient: a retry may succeed


class Gathering:
    """Collects the problems of several steps to report all of them in one error.

    Wrap each step in `with gathering.step(): …`, then call `gathering.check()`.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    @contextmanager
    def step(self) -> Iterator[None]:
        """Run a step and collect its InputError instead of raising it."""
        try:
            yield
        except InputError as error:
            self.problems.extend(error.problems)

    @contextmanager
    def at(self, place: Place) -> Iterator[None]:
        """Run a step that parses a value found at `place`, and report its problems there."""
        with self.step(), placed(place):
            yield

    def check(self) -> None:
        """Raise one InputError with all collected problems, without duplicates, if there are any."""
        if self.problems:
            raise InputError(dict.fromkeys(self.problems))


@contextmanager
def placed(place: Place) -> Iterator[None]:
    """Add `place`, where the parsed value was found, to problems that have no place yet."""
    try:
        yield
    except InputError as error:
        raise InputError(Problem(one.place or place, one.message) for one in error.problems) from None


# The user and password of a URL; a password can contain any character, but a digest is no host.
_IN_URL = re.compile(r"(:/{1,2})(?:[^\s/:@'\"]*:[^\s'\"]*|[^\s/@'\"]*)@(?!sha256:|sha512:)")
# The same without https://, which is only a password if a host follows, unlike in `java:21@arm64`.
_IN_NAME = re.compile(
    r"(?<![\w/.:-])[^\s/:@'\"]+:[^\s/'\"]*@(?=(?:localhost|[\w-]+(?:\.[\w-]+)+|[\w-]+(?=:[0-9]))(?::[0-9]+)?/)"
)
_secrets: set[str] = set()
_SHORTEST_SECRET = 4  # characters; masking all shorter texts would make messages unreadable


def keep_secret(*texts: str) -> None:
    """Mask these passwords and tokens in all messages of this process; a registry may repeat them."""
    _secrets.update(text for text in texts if len(text) >= _SHORTEST_SECRET)


def masked(text: str) -> str:
    """Replace the passwords and tokens in a text by `…`."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, "…")
    if "@" not in text:
        return text
    return _IN_NAME.sub("…@", _IN_URL.sub(r"\1…@", text))


def printable(text: str) -> str:
    """Escape line breaks and other control characters, so that the text is one printable line."""
    return text if text.isprintable() else repr(text)[1:-1]


def visible(text: str) -> str:
    """Escape terminal control sequences; tabs and line breaks are kept."""
    return "".join(char if char in "\n\t" else printable(char) for char in text)


def nearest(word: str, known: Sequence[str]) -> str:
    """Return a hint with the closest known word, ` (did you mean 'parent'?)`, or an empty string."""
    import difflib  # only errors need it, so it does not slow down every start

    found = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean {found[0]!r}?)" if found else ""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 version`, `2 versions`, `0 families`, `3 mismatches`."""
    if number == 1:
        return f"{number} {noun}"
    if noun.endswith("y"):
        return f"{number} {noun[:-1]}ies"
    return f"{number} {noun}{'es' if noun.endswith(('s', 'ch')) else 's'}"


def listing(words: Iterable[str]) -> str:
    """Join words as `a, b and c`; an empty list becomes `none`."""
    *most, last = list(words) or ["none"]
    return f"{', '.join(most)} and {last}" if most else last


def first_few(names: Sequence[str], most: int = 3) -> str:
    """List the first names, and the number of the others: `a, b, c and 2 more`."""
    left = len(names) - most
    return listing([*names[:most], *([f"{left} more"] if left > 0 else [])])
