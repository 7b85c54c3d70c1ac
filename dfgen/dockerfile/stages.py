"""Evaluates a Dockerfile stage by stage: parents, SHELL, USER and variables. The only such walk in dfgen."""

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

    `written` is the original text, `unquoted` has only its quotes resolved, and in `value` the variables
    that the file sets are expanded. `name` is the name of the variable of ENV or ARG. `keyword` begins with
    ONBUILD for a trigger.
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
    """The state at the end of a stage: variables, and the users of the image and of its children.

    `words` are the words of its own instructions, in order.
    """

    words: tuple[Word, ...] = ()
    user: Word | None = None
    onbuild_user: Word | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Script:
    """A RUN for a POSIX shell, with the script that the shell receives, and the current SHELL."""

    run: Instruction
    text: str
    shell: tuple[str, ...]


class ShellFollower:
    """Tracks the current SHELL, which stages inherit from their parents.

    `known` are the SHELLs of images, by lower-case reference without digest.
    """

    def __init__(self, known: Shells = MappingProxyType({})) -> None:
        self.shell: tuple[str, ...] = DEFAULT_SHELL
        self._known = dict(known)
        self._name = ""

    def begin(self, reference: str, name: str) -> None:
        """Begin the stage `name`, which is built on an image or an earlier stage."""
        self.shell = self._known.get(reference.partition("@")[0].lower(), DEFAULT_SHELL)
        self._name = name
        self._keep()

    def follow(self, one: Instruction) -> None:
        """Process the next instruction of the stage."""
        if one.keyword == "SHELL":
            self.shell = one.words if one.is_exec_form else ()
            self._keep()

    def _keep(self) -> None:
        if self._name:
            self._known[self._name] = self.shell


@dataclass(frozen=True, eq=False, kw_only=True)
class Stage:
    """A FROM and the `instructions` up to the next FROM.

    `name` is its lower-case name from `AS`, or "". `parent` and `platform` are as written; `reference` is
    the parent with the ARGs before the first FROM expanded. `base` is the stage that it is built on, None
    for an image. `shell` is the SHELL inherited from the parent, `last_shell` the SHELL at its end. `head`
    is the state before the first FROM.
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
        """Yield the RUNs that a POSIX shell reads."""
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
    """The stages of a Dockerfile; `before` are the instructions before the first FROM."""

    before: tuple[Instruction, ...]
    head: State
    all: tuple[Stage, ...]

    @property
    def last(self) -> Stage | None:
        """The stage that becomes the image; None without a FROM."""
        return self.all[-1] if self.all else None

    @property
    def end(self) -> State:
        """The state at the end of the last stage."""
        ends = [
            stage.end for stage in self.all
        ]  # in order, so that long chains of stages do not recurse deeply
        return ends[-1] if ends else self.head

    @property
    def in_image(self) -> Iterator[Stage]:
        """Yield the stages whose layers are in the image: the last one, and those that it is built on."""
        stage = self.last
        while stage:
            yield stage
            stage = stage.base

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of all instructions, in order."""
        return (*self.head.words, *(word for stage in self.all for word in stage.end.words))


def stages(dockerfile: Dockerfile, shells: Shells = MappingProxyType({})) -> Stages:
    """Evaluate the stages of a Dockerfile.

    `shells` are the SHELLs of the catalog's images, by lower-case reference without digest.
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
    """Return the name of `FROM image AS name`, in lower case, or ""."""
    words = opening.words
    return words[2].lower() if len(words) == 3 and words[1].lower() == "as" else ""


def is_posix(shell: tuple[str, ...]) -> bool:
    """Whether SHELL is a shell with POSIX syntax."""
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
    """Expand the words of instructions in order; `defaults` are the ARGs before the first FROM."""
    arguments, environment = dict(start.arguments), dict(start.environment)
    user, onbuild_user = start.user, start.onbuild_user
    words: list[Word] = []
    for one in instructions:
        inner = one.trigger or one
        keyword = inner.keyword if inner is one else f"ONBUILD {inner.keyword}"
        found: list[Word] = []
        for written_name, written in _parts(inner):
            # ENV overrides ARG: https://docs.docker.com/reference/dockerfile/#using-arg-variables
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
    """Yield the evaluated words of an instruction, each with the name of its variable."""
    if one.keyword == "ENV":
        yield from zip(one.words[::2], one.words[1::2], strict=True)
    elif one.keyword == "ARG":
        yield from ((name, value) for name, _, value in (word.partition("=") for word in one.words))
    elif one.keyword == "ADD":
        yield from (("", word) for word in one.words[:-1])
    elif one.keyword == "USER":
        yield from (("", word) for word in one.words)
