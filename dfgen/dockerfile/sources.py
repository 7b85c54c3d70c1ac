"""What a Dockerfile takes from its build context: COPY, ADD and bind mounts, as BuildKit evaluates them.

See https://docs.docker.com/reference/dockerfile/#copy and #run---mounttypebind.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dfgen.dockerfile.ignore import clean, is_wild
from dfgen.dockerfile.lexer import UnbalancedError, unquote
from dfgen.dockerfile.parser import Dockerfile, Instruction, is_heredoc, parse
from dfgen.oci.platform import Platform

_REMOTE = re.compile(r"(?:https?|git|ssh)://|[\w-]+@[\w.-]+:", re.ASCII | re.IGNORECASE)
# Substitutions that depend on more than whether a variable is set.
_UNSUPPORTED = re.compile(r"\$\{\w+(?::?\?|[#%/])")
_PIVOT = "/./"
# Arguments that BuildKit or a build sets, whatever the file says: https://docs.docker.com/reference/dockerfile/#arg
_GIVEN = frozenset(("SOURCE_DATE_EPOCH",))
_AUTOMATIC = frozenset(
    f"{of}{what}" for of in ("BUILD", "TARGET") for what in ("PLATFORM", "OS", "ARCH", "VARIANT", "STAGE")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A path in the context that an instruction takes.

    `path` is clean and has no leading `/`; "" is the whole context. `written` is for messages. `is_pattern`
    if the path has wildcards. `excluded` are the patterns of --exclude. With --parents, `below` is the
    pattern of what is taken below the path.
    """

    line: int
    keyword: str
    written: str
    path: str
    is_pattern: bool = False
    excluded: tuple[str, ...] = ()
    below: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """An ONBUILD instruction of a parent: what it runs in the child's build, and where it is written."""

    instruction: Instruction
    origin: str


Triggers = Callable[[str], Sequence[Trigger]]


def context_sources(
    text: str, file: str, *, platform: Platform | None = None, triggers: Triggers = lambda _: ()
) -> tuple[Source, ...]:
    """List what the last stage of a Dockerfile, and every stage that it needs, takes from the context.

    A variable is resolved if its value is certain from the file and `platform`; else the source counts as the
    whole context. `triggers` returns the ONBUILD triggers of an image that FROM names. Raises InputError,
    with the line in `file`, for a Dockerfile that BuildKit cannot parse.
    """
    stages = _stages(parse(text, file), platform, triggers)
    needed = _needed(stages)
    return tuple(source for at, stage in enumerate(stages) if at in needed for source in stage.sources)


def onbuild(text: str, file: str) -> tuple[Trigger, ...]:
    """List the triggers that an image's last stage leaves to its children. Raises InputError as above.

    Triggers that the image itself got from its parent ran in its own build and are not passed on.
    """
    found: list[Trigger] = []
    for one in parse(text, file).instructions:
        if one.keyword == "FROM":
            found.clear()
        elif one.trigger:
            found.append(Trigger(instruction=one.trigger, origin=f"{file}:{one.line}"))
    return tuple(found)


class _UncertainError(Exception):
    """The value of a word depends on something outside of the file."""


class _Variables(Mapping[str, str]):
    """The variables of a stage; those that its parent may set are uncertain."""

    def __init__(self, known: Mapping[str, str], *, is_complete: bool) -> None:
        self.known = dict(known)
        self.is_complete = is_complete

    def __getitem__(self, name: str) -> str:
        if name in self.known:
            return self.known[name]
        if self.is_complete:
            raise KeyError(name)
        raise _UncertainError

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)

    def forget(self, name: str) -> None:
        """Make one variable uncertain, and with it all that are not known."""
        self.known.pop(name, None)
        self.is_complete = False


@dataclass(slots=True, kw_only=True)
class _Stage:
    """One stage as it is evaluated: `needs` are the stages that it uses, as indexes."""

    name: str
    variables: _Variables
    needs: set[int] = field(default_factory=set)
    sources: list[Source] = field(default_factory=list)
    triggers: list[Trigger] = field(default_factory=list)


def _needed(stages: Sequence[_Stage]) -> set[int]:
    """The last stage and those that it uses: BuildKit does not build the others."""
    found: set[int] = set()
    waiting = [len(stages) - 1]
    while waiting:
        at = waiting.pop()
        if at not in found and at >= 0:
            found.add(at)
            waiting.extend(stages[at].needs)
    return found


def _stages(dockerfile: Dockerfile, platform: Platform | None, triggers: Triggers) -> list[_Stage]:
    walk = _Walk(dockerfile.escape, platform, triggers)
    for instruction in dockerfile.instructions:
        walk.visit(instruction)
    return walk.stages


class _Walk:
    """Evaluates instructions in their order."""

    def __init__(self, escape: str, platform: Platform | None, triggers: Triggers) -> None:
        self.escape = escape
        self.triggers = triggers
        self.arguments = _Variables(_of_platform(platform), is_complete=False)
        self.stages: list[_Stage] = []

    def visit(self, one: Instruction) -> None:
        """Evaluate one instruction, in the stage that is open."""
        if one.keyword == "FROM":
            self.open(one)
        elif not self.stages:
            self.set_arguments(one, self.arguments)
        elif one.trigger:
            self.stages[-1].triggers.append(Trigger(instruction=one.trigger, origin=f"line {one.line}"))
        else:
            self.run(one)

    def open(self, one: Instruction) -> None:
        """Begin a stage, with the triggers of what it is built on."""
        words = one.words
        name = words[2].lower() if len(words) == 3 and words[1].lower() == "as" else ""
        base = self.expanded(words[0], self.arguments) if words else ""
        at = self.index(base) if base is not None else None
        if at is not None:
            parent = self.stages[at]
            variables = _Variables(parent.variables.known, is_complete=parent.variables.is_complete)
            found: Sequence[Trigger] = parent.triggers
        else:
            variables = _Variables({}, is_complete=base == "scratch")
            found = self.triggers(base) if base and base != "scratch" else ()
        stage = _Stage(name=name, variables=variables)
        if at is not None:
            stage.needs.add(at)
        elif base is None:  # any of the earlier ones
            stage.needs.update(range(len(self.stages)))
        self.stages.append(stage)
        for trigger in found:
            self.run(replace(trigger.instruction, line=one.line), f" of {trigger.origin}")

    def run(self, one: Instruction, origin: str = "") -> None:
        """Evaluate an instruction; `origin` is where a trigger is written."""
        stage = self.stages[-1]
        if one.keyword == "ARG":
            self.set_arguments(one, stage.variables)
        elif one.keyword == "ENV":
            self.set_environment(one, stage.variables)
        elif one.keyword in ("COPY", "ADD"):
            stage.sources += self.copied(one, origin)
        elif one.keyword == "RUN":
            for mount in one.flag("mount"):
                stage.sources += self.mounted(one, mount, origin)

    def set_arguments(self, one: Instruction, variables: _Variables) -> None:
        """Set what ARG declares: its default, or what the ARG before FROM has."""
        if one.keyword != "ARG":
            return
        for word in one.words:
            name, equals, value = word.partition("=")
            name = name.strip("\"'")
            if name in _GIVEN:
                variables.forget(name)
            elif equals:
                self.set(variables, name, value)
            elif variables is not self.arguments and name in self.arguments.known:
                variables.known[name] = self.arguments.known[name]
            elif name in _AUTOMATIC:
                variables.forget(name)

    def set_environment(self, one: Instruction, variables: _Variables) -> None:
        """Set what ENV sets: all its values see the variables as they were before it."""
        before = _Variables(variables.known, is_complete=variables.is_complete)
        for name, value in zip(one.words[::2], one.words[1::2], strict=True):
            self.set(variables, self.expanded(name, before) or name, value, before)

    def set(self, variables: _Variables, name: str, written: str, seen: _Variables | None = None) -> None:
        """Set a variable to an expanded text."""
        value = self.expanded(written, variables if seen is None else seen)
        if value is None:
            variables.forget(name)
        else:
            variables.known[name] = value

    def copied(self, one: Instruction, origin: str) -> Iterator[Source]:
        """Yield the sources of COPY or ADD; heredocs, URLs and other stages are not the context."""
        stage = self.stages[-1]
        if stages := [name for name in one.flag("from") if name]:
            stage.needs.update(at for at in map(self.index, stages) if at is not None)
            return
        keyword = f"ONBUILD {one.keyword}{origin}" if origin else one.keyword
        has_parents = one.flag("parents")[-1:] == ("true",)
        for word in one.words[:-1]:
            if is_heredoc(word) or (one.keyword == "ADD" and _REMOTE.match(word.strip("\"'"))):
                continue
            path = self.expanded(word, stage.variables)
            if path is not None and one.keyword == "ADD" and _REMOTE.match(path):
                continue
            found = Source(
                line=one.line,
                keyword=keyword,
                written=word if path is None else path,
                path="",
                excluded=one.flag("exclude"),
            )
            yield _located(found, path, has_parents=has_parents)

    def mounted(self, one: Instruction, mount: str, origin: str) -> Iterator[Source]:
        """Yield the source of a bind mount from the context; without a source it is the whole context."""
        stage = self.stages[-1]
        options = {"type": "bind"}
        for key, value in _fields(mount):
            options["source" if key == "src" else key] = value
        if options.get("from"):
            at = self.index(options["from"])
            stage.needs.update(() if at is None else (at,))
            return
        kind = self.expanded(options["type"], stage.variables)
        if kind is not None and kind.lower() != "bind":
            return
        written = options.get("source", "")
        path = self.expanded(written, stage.variables)
        yield Source(
            line=one.line,
            keyword=f"ONBUILD RUN{origin}" if origin else "RUN",
            written=written if path is None else path,
            path=_relative(path or ""),
        )

    def index(self, name: str) -> int | None:
        """Find the earlier stage that a name, or the number in `COPY --from=`, means."""
        if name.isdecimal():
            return int(name) if int(name) < len(self.stages) else None
        names = [stage.name for stage in self.stages]
        return len(names) - 1 - names[::-1].index(name.lower()) if name.lower() in names else None

    def expanded(self, word: str, variables: _Variables) -> str | None:
        """Unquote a word and replace its variables; None if its value is not certain."""
        if _UNSUPPORTED.search(word):
            return None
        try:
            return unquote(word, self.escape, variables)
        except (UnbalancedError, _UncertainError):
            return None  # BuildKit reports a quote that is not closed


def _of_platform(platform: Platform | None) -> dict[str, str]:
    """The arguments that BuildKit sets for the platform that is built."""
    if platform is None:
        return {}
    variant = platform.variant or ""
    return {
        "TARGETPLATFORM": str(platform),
        "TARGETOS": platform.os,
        "TARGETARCH": platform.architecture,
        "TARGETVARIANT": variant,
    }


def _fields(mount: str) -> Iterable[tuple[str, str]]:
    """Split the value of --mount, which is a line of CSV; one that is broken has no fields."""
    try:
        fields = next(csv.reader([mount], strict=True), [])
    except csv.Error:
        return
    for one in fields:
        key, equals, value = one.partition("=")
        if equals:
            yield key.lower(), value


def _located(source: Source, path: str | None, *, has_parents: bool) -> Source:
    """Set where in the context a source is; one that is not certain is the whole context."""
    if path is None:
        return replace(source, excluded=())
    if not has_parents:
        return replace(source, path=_relative(path), is_pattern=is_wild(path))
    above, pivot, below = path.partition(_PIVOT)
    folder, pattern = (above, below) if pivot else ("", path)
    return replace(source, path=_relative(folder), is_pattern=is_wild(folder), below=_relative(pattern))


def _relative(path: str) -> str:
    """Clean a path for which the context is the root: no `..` leads out of it."""
    return clean(f"/{path}").lstrip("/")
