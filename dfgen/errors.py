"""One family of errors: each says where, what was expected and what to do, and carries its exit code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit status means to a script."""

    HOLDS = 0
    DIFFERS = 1  # it was checked and does not hold: drift, a failed smoke test, a mismatch
    BAD_INPUT = 2  # the user's files or the command line
    OUTSIDE = 3  # no engine, registry unreachable, unauthorized, rate-limited


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file; lines and columns count from 1, and 0 means that none is known."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Write the place as editors and CI systems link it: `file:line:column`."""
        parts = [printable(self.file), *(str(n) for n in (self.line, self.column) if n)]
        return ":".join(parts)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong at one place; `message` is a single line."""

    place: Place | None
    message: str

    def __str__(self) -> str:
        """Write `place: message`."""
        return f"{self.place}: {self.message}" if self.place else self.message


class DfgenError(Exception):
    """The root of what a user is shown as one line an entry, without a traceback."""

    exit_code = ExitCode.BAD_INPUT

    def __init__(self, problems: str | Problem | Iterable[Problem]) -> None:
        """Take a message, a problem, or all problems of a file at once."""
        if isinstance(problems, str):
            problems = Problem(None, problems)
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class InputError(DfgenError):
    """The catalog, a template, a lock or the command line says something that cannot be used (exit 2)."""


class CheckError(DfgenError):
    """Something was checked and does not hold: drift, a failed build or smoke test, a mismatch (exit 1)."""

    exit_code = ExitCode.DIFFERS


class OutsideError(DfgenError):
    """Something outside of dfgen failed: no engine, an unreachable registry, a full disk (exit 3)."""

    exit_code = ExitCode.OUTSIDE
    unreachable = ""  # the host that did not answer at all, when that is what failed
    requests = 1  # how many of them failed so
    is_passing = False  # whether the same may well succeed in a moment


class Gathering:
    """Collects the problems of several steps, so that all of them are told at once.

    Use it as `with gathering.step(): …` around each step, then `gathering.check()`.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    @contextmanager
    def step(self) -> Iterator[None]:
        """Run a step; its InputError is kept, and the steps after it go on."""
        try:
            yield
        except InputError as error:
            self.problems.extend(error.problems)

    @contextmanager
    def at(self, place: Place) -> Iterator[None]:
        """Run a step that parses a value standing at a place; its problems get that place."""
        with self.step(), placed(place):
            yield

    def check(self) -> None:
        """Raise what was kept as one InputError, each problem once."""
        if self.problems:
            raise InputError(dict.fromkeys(self.problems))


@contextmanager
def placed(place: Place) -> Iterator[None]:
    """Give the problems of a value that was parsed the place where it stands."""
    try:
        yield
    except InputError as error:
        raise InputError(Problem(one.place or place, one.message) for one in error.problems) from None


def printable(text: str) -> str:
    """Write a name in one line: line breaks and other control characters are escaped."""
    return text if text.isprintable() else repr(text)[1:-1]


def visible(text: str) -> str:
    """Write lines so that a terminal shows what is in them and obeys none of it."""
    return "".join(char if char in "\n\t" else printable(char) for char in text)


def nearest(word: str, known: Sequence[str]) -> str:
    """Say which known word was probably meant: ` (did you mean 'parent'?)`, or nothing."""
    import difflib  # for errors alone

    found = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean {found[0]!r}?)" if found else ""


def listing(words: Iterable[str]) -> str:
    """Write `a, b and c` for a message."""
    *most, last = list(words) or ["none"]
    return f"{', '.join(most)} and {last}" if most else last
