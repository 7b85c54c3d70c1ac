"""What a rule gives, and how much each rule weighs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from dfgen.dockerfile import Dockerfile, Instruction
from dfgen.values.finding import Level

# Every rule of dfgen's own by its stable name; docs/lint.md tells of each.
RULES = {
    "add-url": Level.WARNING,
    "apt-recommends": Level.WARNING,
    "arch-parity": Level.WARNING,
    "does-not-render": Level.ERROR,
    "latest-tag": Level.WARNING,
    "package-cache": Level.WARNING,
    "pipefail": Level.WARNING,
    "secret": Level.WARNING,
    "undefined-variable": Level.WARNING,
    "unknown-instruction": Level.ERROR,
    "unpinned-from": Level.ERROR,
    "unpinned-syntax": Level.WARNING,
    "unused-block": Level.WARNING,
    "unused-ignore": Level.WARNING,
    "unused-macro": Level.WARNING,
    "unused-template": Level.WARNING,
    "unused-variable": Level.WARNING,
}

DEFAULT_SHELL = ("/bin/sh", "-c")

# hadolint's and BuildKit's codes for what a rule of dfgen's own says too: where both find it, one is enough.
SAME = {
    "DL3007": "latest-tag",
    "DL3009": "package-cache",
    "DL3015": "apt-recommends",
    "DL3019": "package-cache",
    "DL3032": "package-cache",
    "DL3036": "package-cache",
    "DL3040": "package-cache",
    "DL3064": "secret",
    "DL4006": "pipefail",
    "SecretsUsedInArgOrEnv": "secret",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A rule that does not hold at a line of a rendered Dockerfile."""

    rule: str
    message: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The instructions from one FROM to the next; `name` is what `AS` calls it, in lower case.

    `shell` is the SHELL that it begins with, which images have from those that they are built on.
    """

    name: str
    parent: str
    instructions: tuple[Instruction, ...]
    shell: tuple[str, ...] = DEFAULT_SHELL

    @property
    def last_shell(self) -> tuple[str, ...]:
        """The SHELL that it ends with."""
        own = [one.words for one in self.instructions if one.keyword == "SHELL"]
        return own[-1] if own else self.shell


Shells = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Above:
    """What a Dockerfile has from images of the catalog: SHELLs by reference without digest, apt's options."""

    shells: Shells
    has_apt_conf: bool


NOTHING_ABOVE = Above(shells=MappingProxyType({}), has_apt_conf=False)


def stages(dockerfile: Dockerfile, shells: Shells = NOTHING_ABOVE.shells) -> tuple[Stage, ...]:
    """Part a Dockerfile into its stages; what stands before the first FROM is in none.

    `shells` are those that images of the catalog end with, by reference without digest.
    """
    starts = [at for at, one in enumerate(dockerfile.instructions) if one.keyword == "FROM"]
    ends = [*starts[1:], len(dockerfile.instructions)]
    known = dict(shells)
    found: list[Stage] = []
    for start, end in zip(starts, ends, strict=bool(starts)):
        stage = _stage(dockerfile.instructions[start:end], known)
        if stage.name:
            known[stage.name] = stage.last_shell
        found.append(stage)
    return tuple(found)


def _stage(instructions: tuple[Instruction, ...], shells: Shells) -> Stage:
    words = [word.lower() for word in instructions[0].words]
    named = len(words) == 3 and words[1] == "as"
    parent = words[0] if words else ""
    return Stage(
        name=words[2] if named else "",
        parent=parent,
        instructions=instructions[1:],
        shell=shells.get(parent.partition("@")[0], DEFAULT_SHELL),
    )


def kept(found: Sequence[Stage]) -> Iterator[Stage]:
    """The stages whose layers are in the image: the last, and those that it is built on."""
    wanted = found[-1:]
    while wanted:
        (stage,) = wanted
        yield stage
        found = found[: found.index(stage)]
        wanted = [one for one in found if one.name and one.name == stage.parent][-1:]
