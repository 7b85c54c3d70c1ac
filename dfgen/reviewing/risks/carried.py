"""A Dockerfile as it is carried out: what its words are once the variables in them are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from dfgen.dockerfile import Dockerfile, Instruction
from dfgen.dockerfile.shellwords import UnbalancedError, unquote


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word that matters of an instruction: a source of ADD, the user of USER, a value of ENV or ARG.

    `written` is as it stands there, `value` what it is with the variables that have a value in the file;
    `name` is the variable's, for ENV and ARG. `keyword` begins with ONBUILD for a trigger.
    """

    keyword: str
    instruction: Instruction
    written: str
    value: str
    name: str = ""

    @property
    def line(self) -> int:
        """Where the instruction begins."""
        return self.instruction.line


@dataclass(slots=True, kw_only=True)
class Stage:
    """A stage up to some point: its variables, and who its processes and its children's run as."""

    line: int = 0
    user: Word | None = None
    onbuild_user: Word | None = None
    arguments: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def copy(self, line: int) -> Stage:
        """Begin a stage that is built on this one."""
        return replace(self, line=line, arguments=dict(self.arguments), environment=dict(self.environment))


class Carried:
    """A walk over a Dockerfile: the `words` of all stages, and the `last` stage as it ends."""

    def __init__(self, dockerfile: Dockerfile) -> None:
        self.words: list[Word] = []
        self.last = Stage()
        self._escape = dockerfile.escape
        self._named: dict[str, Stage] = {}
        self._globals: dict[str, str] | None = None
        for one in dockerfile.instructions:
            if one.keyword == "FROM":
                self._begin(one)
            else:
                self._go_on(one)

    def _begin(self, one: Instruction) -> None:
        if self._globals is None:
            self._globals = self.last.arguments
        words = [word.lower() for word in one.words]
        parent = self._named.get(words[0]) if words else None
        self.last = parent.copy(one.line) if parent else Stage(line=one.line)
        if len(words) == 3 and words[1] == "as":
            self._named[words[2]] = self.last

    def _go_on(self, one: Instruction) -> None:
        inner = one.trigger or one
        keyword = inner.keyword if inner is one else f"ONBUILD {inner.keyword}"
        found = []
        for name, text in _parts(inner):
            value = self._filled(text)
            if keyword == "ARG":
                value = value or (self._globals or {}).get(name, "")
                self.last.arguments[name] = value
            found.append(Word(keyword=keyword, instruction=one, written=text, value=value, name=name))
        self.words += found
        if keyword == "ENV":
            self.last.environment.update((word.name, word.value) for word in found)
        elif keyword == "USER" and found:
            self.last.user = found[0]
        elif keyword == "ONBUILD USER" and found:
            self.last.onbuild_user = found[0]

    def _filled(self, text: str) -> str:
        known = {**self.last.arguments, **self.last.environment}
        try:
            return unquote(text, self._escape, known)
        except UnbalancedError:
            return text


def _parts(one: Instruction) -> Iterator[tuple[str, str]]:
    """The words of an instruction that matter, each with its variable's name."""
    if one.keyword == "ENV":
        yield from zip((name.strip("\"'") for name in one.words[::2]), one.words[1::2], strict=True)
    elif one.keyword == "ARG":
        yield from (
            (name.strip("\"'"), value) for name, _, value in (word.partition("=") for word in one.words)
        )
    elif one.keyword == "ADD":
        yield from (("", word) for word in one.words[:-1])
    elif one.keyword == "USER":
        yield from (("", word) for word in one.words)
