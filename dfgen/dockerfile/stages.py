"""The one walk through the stages of a Dockerfile: what each is built on, and what it ends with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from dfgen.dockerfile.lexer import UnbalancedError, unquote
from dfgen.dockerfile.parser import Dockerfile, Instruction
from dfgen.dockerfile.shell import POSIX_SHELL, script

DEFAULT_SHELL = ("/bin/sh", "-c")
_NOTHING: Mapping[str, str] = MappingProxyType({})

Shells = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A source of ADD, the user of USER, or a value of ENV or ARG.

    `written` keeps quotes and variables, `unquoted` keeps variables alone, and `value` is what they expand
    to as far as the file sets them. `name` is the variable's, for ENV and ARG. `keyword` begins with ONBUILD
    for a trigger.
    """

    keyword: str
    instruction: Instruction
    written: str
    unquoted: str
    value: str
    name: str = ""

    @property
    def line(self) -> int:
        """The first line of the instruction."""
        return self.instruction.line


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The end of a stage: its variables, and the users that it and its children run as.

    `words` are those of its own instructions, in order.
    """

    words: tuple[Word, ...] = ()
    user: Word | None = None
    onbuild_user: Word | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Script:
    """A RUN that a POSIX shell reads, the script that the shell gets, and SHELL as it is in effect."""

    run: Instruction
    text: str
    shell: tuple[str, ...]


class ShellFollower:
    """Follows SHELL, which images and stages inherit, from instruction to instruction.

    `known` are the SHELLs of images, by reference without digest, in lower case.
    """

    def __init__(self, known: Shells = MappingProxyType({})) -> None:
        self.shell: tuple[str, ...] = DEFAULT_SHELL
        self._known = dict(known)
        self._name = ""

    def begin(self, reference: str, name: str) -> None:
        """Begin the stage `name` on an image or an earlier stage."""
        self.shell = self._known.get(reference.partition("@")[0].lower(), DEFAULT_SHELL)
        self._name = name
        self._keep()

    def follow(self, one: Instruction) -> None:
        """Take an instruction of the stage; any but SHELL changes nothing."""
        if one.keyword == "SHELL":
            self.shell = one.words if one.is_exec_form else ()
            self._keep()

    def _keep(self) -> None:
        if self._name:
            self._known[self._name] = self.shell


@dataclass(frozen=True, eq=False, kw_only=True)
class Stage:
    """A FROM and the `instructions` up to the next one.

    `name` is what `AS` calls it, in lower case, "" without a name. `parent` and `platform` are as written,
    and `reference` is the parent with the ARGs before the first FROM expanded. `base` is the earlier stage
    that the parent names, None for an image. `shell` is the SHELL that it begins with, inherited from its
    parent, and `last_shell` the one that it ends with. `head` is the state before the first FROM.
    """

    index: int
    name: str
    opening: Instruction
    parent: str
    reference: str
    platform: str | None
    base: Stage | None
    shell: tuple[str, ...]
    last_shell: tuple[str, ...]
    instructions: tuple[Instruction, ...]
    escape: str
    head: State

    @property
    def line(self) -> int:
        """The line of its FROM."""
        return self.opening.line

    @property
    def scripts(self) -> Iterator[Script]:
        """Every RUN that a POSIX shell reads."""
        following = ShellFollower()
        following.shell = self.shell
        for one in self.instructions:
            following.follow(one)
            if one.keyword == "RUN" and is_posix(following.shell) and (text := script(one)):
                yield Script(one, text, following.shell)

    @cached_property
    def end(self) -> State:
        """Its state after the last instruction."""
        start = self.base.end if self.base else State()
        return _evaluated(self.instructions, self.escape, start, self.head.arguments)


@dataclass(frozen=True, eq=False, kw_only=True)
class Stages:
    """The stages of a Dockerfile; `before` are the instructions before the first FROM, which are in none."""

    before: tuple[Instruction, ...]
    head: State
    all: tuple[Stage, ...]

    @property
    def last(self) -> Stage | None:
        """The stage that becomes the image; None without any FROM."""
        return self.all[-1] if self.all else None

    @property
    def end(self) -> State:
        """The state of the last stage at its end."""
        ends = [stage.end for stage in self.all]  # in order: recursion stays flat in long chains of stages
        return ends[-1] if ends else self.head

    @property
    def kept(self) -> Iterator[Stage]:
        """The stages whose layers are in the image: the last one, and those that it is built on."""
        stage = self.last
        while stage:
            yield stage
            stage = stage.base

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of all instructions, in order."""
        return (*self.head.words, *(word for stage in self.all for word in stage.end.words))


def stages(dockerfile: Dockerfile, shells: Shells = MappingProxyType({})) -> Stages:
    """Walk through the stages of a Dockerfile.

    `shells` are those that images of the catalog end with, by reference without digest, in lower case.
    """
    starts = [at for at, one in enumerate(dockerfile.instructions) if one.keyword == "FROM"]
    ends = [*starts[1:], len(dockerfile.instructions)]
    before = dockerfile.instructions[: starts[0] if starts else None]
    head = _evaluated(before, dockerfile.escape, State(), _NOTHING)
    following = ShellFollower(shells)
    named: dict[str, Stage] = {}
    found: list[Stage] = []
    for index, (start, end) in enumerate(zip(starts, ends, strict=bool(starts))):
        opening = dockerfile.instructions[start]
        parent = next(iter(opening.words), "")
        reference = _expanded(parent, dockerfile.escape, head.arguments)
        instructions = dockerfile.instructions[start + 1 : end]
        following.begin(reference, stage_name(opening))
        shell = following.shell
        for one in instructions:
            following.follow(one)
        stage = Stage(
            index=index,
            name=stage_name(opening),
            opening=opening,
            parent=parent,
            reference=reference,
            platform=next(iter(opening.flag("platform")), None),
            base=named.get(reference.lower()),
            shell=shell,
            last_shell=following.shell,
            instructions=instructions,
            escape=dockerfile.escape,
            head=head,
        )
        found.append(stage)
        if stage.name:
            named[stage.name] = stage
    return Stages(before=before, head=head, all=tuple(found))


def stage_name(opening: Instruction) -> str:
    """The name that `FROM image AS name` gives, in lower case; "" without one."""
    words = opening.words
    return words[2].lower() if len(words) == 3 and words[1].lower() == "as" else ""


def is_posix(shell: tuple[str, ...]) -> bool:
    """Whether SHELL names a shell that reads POSIX syntax."""
    return bool(shell) and POSIX_SHELL.fullmatch(shell[0]) is not None


def _expanded(text: str, escape: str, variables: Mapping[str, str] | None = None) -> str:
    if not any(sign in text for sign in ("$", "'", '"', escape)):
        return text
    try:
        return unquote(text, escape, variables)
    except UnbalancedError:
        return text  # BuildKit reports it


def _evaluated(
    instructions: tuple[Instruction, ...], escape: str, start: State, defaults: Mapping[str, str]
) -> State:
    """Expand the words of instructions, one by one; `defaults` are the ARGs before the first FROM."""
    arguments, environment = dict(start.arguments), dict(start.environment)
    user, onbuild_user = start.user, start.onbuild_user
    words: list[Word] = []
    for one in instructions:
        inner = one.trigger or one
        keyword = inner.keyword if inner is one else f"ONBUILD {inner.keyword}"
        found: list[Word] = []
        for written_name, written in _parts(inner):
            # A variable of ENV hides an ARG of the same name.
            known = {**arguments, **environment}
            name, value = (_expanded(text, escape, known) for text in (written_name, written))
            if keyword == "ARG":
                value = value or defaults.get(name, "")
                arguments[name] = value
            unquoted = _expanded(written, escape)
            found.append(
                Word(
                    keyword=keyword,
                    instruction=one,
                    written=written,
                    unquoted=unquoted,
                    value=value,
                    name=name,
                )
            )
        words += found
        if keyword == "ENV":
            environment.update((word.name, word.value) for word in found)
        elif keyword == "USER" and found:
            user = found[0]
        elif keyword == "ONBUILD USER" and found:
            onbuild_user = found[0]
    return State(
        words=tuple(words),
        user=user,
        onbuild_user=onbuild_user,
        arguments=arguments,
        environment=environment,
    )


def _parts(one: Instruction) -> Iterator[tuple[str, str]]:
    """The words of an instruction that matter, each with the name of its variable."""
    if one.keyword == "ENV":
        yield from zip(one.words[::2], one.words[1::2], strict=True)
    elif one.keyword == "ARG":
        yield from ((name, value) for name, _, value in (word.partition("=") for word in one.words))
    elif one.keyword == "ADD":
        yield from (("", word) for word in one.words[:-1])
    elif one.keyword == "USER":
        yield from (("", word) for word in one.words)
