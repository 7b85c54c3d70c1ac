"""Finds the sources of a Dockerfile in its build context: COPY, ADD and bind mounts, like BuildKit.

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
from dfgen.dockerfile.references import images_used
from dfgen.errors import InputError, Place, Problem, placed, printable
from dfgen.oci.platform import Platform
from dfgen.untrusted import brief

_REMOTE = re.compile(r"(?:https?|git|ssh)://|[\w-]+@[\w.-]+:", re.ASCII | re.IGNORECASE)
# Substitutions that depend on more than whether a variable is set.
_UNSUPPORTED = re.compile(r"\$\{\w+(?::?\?|[#%/])")
_PIVOT = "/./"
_PINNED = re.compile(r"@sha256:[0-9a-f]{64}$")
_STAGE_NAME = re.compile(r"[a-z][a-z0-9._-]*")
# Arguments that BuildKit or a build sets, whatever the file contains: https://docs.docker.com/reference/dockerfile/#arg
_EXTERNAL = frozenset(("SOURCE_DATE_EPOCH",))
_AUTOMATIC = frozenset(
    f"{of}{what}" for of in ("BUILD", "TARGET") for what in ("PLATFORM", "OS", "ARCH", "VARIANT", "STAGE")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A path in the context that an instruction reads.

    `path` is normalized and has no leading `/`; "" is the whole context. `written` is for messages.
    `is_pattern` if the path has wildcards. `excluded` are the patterns of --exclude. With --parents,
    `below` is the pattern of the files below the path.
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
    """An ONBUILD instruction of a parent, which runs in the child's build; `origin` is its place.

    The Dockerfile of an upstream parent is unknown; the origin is then the parent's reference.
    """

    instruction: Instruction
    origin: str
    is_upstream: bool = False


Triggers = Callable[[str], Sequence[Trigger]]


def context_sources(
    text: str, file: str, *, platform: Platform | None = None, triggers: Triggers = lambda _: ()
) -> tuple[Source, ...]:
    """Return the sources of the last stage of a Dockerfile and of all stages that it needs.

    A variable is expanded if the file and `platform` determine its value; otherwise the source is the whole
    context, so that a change is never missed. `triggers` returns the ONBUILD triggers of an image in FROM.
    Raises InputError, with the line in `file`, for a Dockerfile that BuildKit cannot parse, and for an
    upstream trigger that uses an image without a digest.
    """
    stages = _stages(parse(text, file), file, platform, triggers)
    needed = _needed(stages)
    return tuple(source for at, stage in enumerate(stages) if at in needed for source in stage.sources)


def onbuild(text: str, file: str) -> tuple[Trigger, ...]:
    """Return the ONBUILD triggers of an image's last stage. Raises InputError for a broken Dockerfile.

    Triggers of the image's parent ran in the image's own build and are not inherited by its children.
    """
    found: list[Trigger] = []
    for one in parse(text, file).instructions:
        if one.keyword == "FROM":
            found.clear()
        elif one.trigger:
            found.append(Trigger(instruction=one.trigger, origin=f"{file}:{one.line}"))
    return tuple(found)


def upstream_triggers(texts: Iterable[str], parent: str) -> tuple[Trigger, ...]:
    """Parse the triggers in the configuration of an upstream parent.

    Raises InputError if one is not a single instruction, which BuildKit rejects, too.
    """
    found = []
    for text in texts:
        try:
            (one,) = parse(text).instructions
        except (InputError, ValueError):
            what = f"{parent} has an ONBUILD trigger that is not an instruction: {brief(text)}"
            raise InputError(f"{what}; use another parent") from None
        found.append(Trigger(instruction=one, origin=parent, is_upstream=True))
    return tuple(found)


class _UncertainError(Exception):
    """The value of a word does not only depend on the file."""


class _Variables(Mapping[str, str]):
    """The variables of a stage; unless `is_complete`, its parent may set others, which are uncertain."""

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
        """Make a variable uncertain, and all others without a known value."""
        self.known.pop(name, None)
        self.is_complete = False


@dataclass(slots=True, kw_only=True)
class _Stage:
    """A stage that is being evaluated; `needs` are the indexes of the stages that it uses."""

    name: str
    variables: _Variables
    needs: set[int] = field(default_factory=set)
    sources: list[Source] = field(default_factory=list)
    triggers: list[Trigger] = field(default_factory=list)


def _needed(stages: Sequence[_Stage]) -> set[int]:
    """Return the last stage and those that it uses; BuildKit does not build the others."""
    found: set[int] = set()
    waiting = [len(stages) - 1]
    while waiting:
        at = waiting.pop()
        if at not in found and at >= 0:
            found.add(at)
            waiting.extend(stages[at].needs)
    return found


def _stages(dockerfile: Dockerfile, file: str, platform: Platform | None, triggers: Triggers) -> list[_Stage]:
    walk = _Walk(dockerfile.escape, file, platform, triggers)
    for instruction in dockerfile.instructions:
        walk.visit(instruction)
    return walk.stages


class _Walk:
    """Evaluates instructions in order."""

    def __init__(self, escape: str, file: str, platform: Platform | None, triggers: Triggers) -> None:
        self.escape = escape
        self.file = file
        self.triggers = triggers
        self.arguments = _Variables(_of_platform(platform), is_complete=False)
        self.stages: list[_Stage] = []

    def visit(self, one: Instruction) -> None:
        """Evaluate an instruction in the current stage."""
        if one.keyword == "FROM":
            self.open(one)
        elif not self.stages:
            self.set_arguments(one, self.arguments)
        elif one.trigger:
            self.stages[-1].triggers.append(Trigger(instruction=one.trigger, origin=f"line {one.line}"))
        else:
            self.run(one)

    def open(self, one: Instruction) -> None:
        """Begin a stage and run the triggers of its parent."""
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
            with placed(Place(self.file, one.line)):
                found = self.triggers(base) if base and base != "scratch" else ()
        stage = _Stage(name=name, variables=variables)
        if at is not None:
            stage.needs.add(at)
        elif base is None:  # unknown: it may be any earlier stage
            stage.needs.update(range(len(self.stages)))
        self.stages.append(stage)
        for trigger in found:
            instruction = replace(trigger.instruction, line=one.line)
            if trigger.is_upstream:
                self.check_images(instruction, trigger.origin)
            self.run(instruction, f" of {trigger.origin}")

    def check_images(self, one: Instruction, parent: str) -> None:
        """Raise InputError if an upstream trigger uses an image without a digest."""
        for use in images_used(one, [stage.name for stage in self.stages]):
            if not _PINNED.search(use.text):
                name = printable(use.text)
                stage = f", or name a stage before it {name}" if _STAGE_NAME.fullmatch(name) else ""
                what = f"ONBUILD {use.keyword} of {parent} uses the image {name!r} without a digest"
                raise InputError(Problem(Place(self.file, one.line), f"{what}; use another parent{stage}"))

    def run(self, one: Instruction, origin: str = "") -> None:
        """Evaluate an instruction; `origin` is the place of a trigger, for messages."""
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
        """Evaluate ARG: its default, or the value of an ARG before the first FROM."""
        if one.keyword != "ARG":
            return
        for word in one.words:
            name, equals, value = word.partition("=")
            name = name.strip("\"'")
            if name in _EXTERNAL:
                variables.forget(name)
            elif equals:
                self.set(variables, name, value)
            elif variables is not self.arguments and name in self.arguments.known:
                variables.known[name] = self.arguments.known[name]
            elif name in _AUTOMATIC:
                variables.forget(name)

    def set_environment(self, one: Instruction, variables: _Variables) -> None:
        """Evaluate ENV; all of its values see the variables from before it."""
        before = _Variables(variables.known, is_complete=variables.is_complete)
        for name, value in zip(one.words[::2], one.words[1::2], strict=True):
            self.set(variables, self.expanded(name, before) or name, value, before)

    def set(self, variables: _Variables, name: str, written: str, seen: _Variables | None = None) -> None:
        """Expand a text and set a variable to it."""
        value = self.expanded(written, variables if seen is None else seen)
        if value is None:
            variables.forget(name)
        else:
            variables.known[name] = value

    def copied(self, one: Instruction, origin: str) -> Iterator[Source]:
        """Yield the sources of COPY or ADD, without heredocs, URLs and other stages."""
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
        """Yield the source of a bind mount from the context; the default is the whole context."""
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
        """Return the index of an earlier stage by name or number (`COPY --from=0`); None for an image."""
        if name.isdecimal():
            return int(name) if int(name) < len(self.stages) else None
        names = [stage.name for stage in self.stages]
        return len(names) - 1 - names[::-1].index(name.lower()) if name.lower() in names else None

    def expanded(self, word: str, variables: _Variables) -> str | None:
        """Unquote a word and expand its variables; None if its value is uncertain."""
        if _UNSUPPORTED.search(word):
            return None
        try:
            return unquote(word, self.escape, variables)
        except (UnbalancedError, _UncertainError):
            return None  # BuildKit reports a quote that is not closed


def _of_platform(platform: Platform | None) -> dict[str, str]:
    """Return the arguments that BuildKit sets for the target platform."""
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
    """Yield the fields of --mount, which is a line of CSV; none if it is broken."""
    try:
        fields = next(csv.reader([mount], strict=True), [])
    except csv.Error:
        return
    for one in fields:
        key, equals, value = one.partition("=")
        if equals:
            yield key.lower(), value


def _located(source: Source, path: str | None, *, has_parents: bool) -> Source:
    """Set the path of a source; an uncertain one is the whole context."""
    if path is None:
        return replace(source, excluded=())
    if not has_parents:
        return replace(source, path=_relative(path), is_pattern=is_wild(path))
    above, pivot, below = path.partition(_PIVOT)
    folder, pattern = (above, below) if pivot else ("", path)
    return replace(source, path=_relative(folder), is_pattern=is_wild(folder), below=_relative(pattern))


def _relative(path: str) -> str:
    """Normalize a path whose root is the context; `..` does not lead out of it."""
    return clean(f"/{path}").lstrip("/")
