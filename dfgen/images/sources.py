"""What a Dockerfile takes from its build context: COPY, ADD and bind mounts, as far as can be told."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass

from dfgen.dockerfile.instructions import Instruction, parse
from dfgen.dockerfile.shellwords import UnbalancedError, unquote

_REMOTE = re.compile(r"(https?|git|ssh)://|git@")
_VARIABLE = "$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A path or glob in the context, and the line that names it."""

    line: int
    keyword: str
    path: str

    @property
    def is_whole(self) -> bool:
        """Whether it is the context itself, or cannot be told."""
        return self.path in ("", ".", "/", "./") or _VARIABLE in self.path

    @property
    def is_glob(self) -> bool:
        """Whether it is a pattern."""
        return any(char in self.path for char in "*?[")


def context_sources(text: str, file: str) -> tuple[Source, ...]:
    """List what a Dockerfile takes from its context; what comes from a stage or a URL is left out.

    Variables are not resolved: a source with one counts as the whole context. Triggers of ONBUILD belong to
    the builds of children. Errors: InputError, with the line in `file`, for what BuildKit cannot parse.
    """
    dockerfile = parse(text, file)
    return tuple(
        Source(line=instruction.line, keyword=instruction.keyword, path=path)
        for instruction in dockerfile.instructions
        for path in _paths(instruction, dockerfile.escape)
    )


def _paths(instruction: Instruction, escape: str) -> Iterator[str]:
    if instruction.keyword == "RUN":
        for mount in instruction.flag("mount"):
            yield from _bound(mount)
    elif instruction.keyword in ("COPY", "ADD") and not instruction.flag("from"):
        for word in instruction.words[:-1]:
            path = _unquoted(word, escape)
            if not (path.startswith("<<") or _is_remote(path, instruction)):
                yield path


def _bound(mount: str) -> Iterator[str]:
    """The source of a bind mount from the context; without one it is the whole context."""
    fields = [field.partition("=") for field in next(csv.reader([mount]), [])]
    options = {key.lower(): value for key, _, value in fields}
    if options.get("type", "bind") == "bind" and "from" not in options:
        yield options.get("source", options.get("src", ""))


def _is_remote(path: str, instruction: Instruction) -> bool:
    return instruction.keyword == "ADD" and _REMOTE.match(path) is not None


def _unquoted(word: str, escape: str) -> str:
    try:
        return unquote(word, escape)
    except UnbalancedError:
        return _VARIABLE  # BuildKit will say what is wrong with it
