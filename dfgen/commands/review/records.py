"""What review takes and gives: the two states, what may be asked beside them, and what was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from dfgen.catalog.context import ContextReader
from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog, Image
from dfgen.commands.render import TemplatesFor
from dfgen.errors import Place, Problem
from dfgen.findings import Finding, Level
from dfgen.oci.digest import Digest
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One side of a review; every path is relative to the catalog's root, with `/`.

    `catalog` is None, and `problems` say why, where it cannot be loaded; an unreadable lock is an empty one.
    `lock_text` is the lock as it stands, so that a pin has a line. `dockerfiles` are the texts of every
    `bases/*/*/Dockerfile_*`; `templates` are texts by the name that a family writes; `settings` are those of
    `catalog.yaml` and every `base.yaml`. `files` are whatever else lies in a build context, each with
    anything that changes when its content or mode does. `context` reads what an image takes of them.
    """

    catalog: Catalog | None = None
    lock: Lock = field(default_factory=Lock)
    lock_text: str = ""
    dockerfiles: Mapping[str, str] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    context: ContextReader | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentDetails:
    """What is known of one digest of a parent. `size` is bytes; `platform` is None for an index."""

    platform: Platform | None = None
    size: int = 0
    created: str = ""
    user: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a review may ask beside the two states; without one, it notes what it could not tell.

    `templates` are those that render an image of the state after. `look` gives what a parent's digest holds,
    `resolve` what its tag points at now: None where that is not known. `parity` gives the differences between
    the platforms of versions, from all their images and what is rendered, by path. `origins` give for each
    line of what an image renders the line of the template that made it, None for dfgen's header. `seconds`
    are the last build's, by image name.
    """

    templates: TemplatesFor | None = None
    look: Callable[[Reference, Digest], ParentDetails | None] | None = None
    resolve: Callable[[Reference], Digest | None] | None = None
    parity: Callable[[Sequence[Image], Mapping[str, str]], Sequence[Finding]] | None = None
    origins: Callable[[Image], Sequence[Place | None]] | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


class Kind(StrEnum):
    """What became of a file, an instruction or a pin."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    COSMETIC = "cosmetic"  # comments and white space alone


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageMove:
    """A package that a RUN installs; a version is "" where none is written, None where the package is not."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One instruction that changed; a text is "" and a line 0 where the instruction is not.

    `summary` says it in one line: `RUN: curl added, wget removed`. Lines are the representative file's.
    """

    kind: Kind
    keyword: str
    summary: str
    before: str = ""
    after: str = ""
    before_line: int = 0
    after_line: int = 0
    packages: tuple[PackageMove, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The same change in `files`, shown by the first of them: its steps, and its unified diff in `hunk`.

    A file that is new or gone has no steps. An outlier is of a larger group's template and differs.
    """

    kind: Kind
    title: str
    steps: tuple[Step, ...]
    hunk: tuple[str, ...]
    files: tuple[str, ...]
    outlier: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformMove:
    """A parent's pin for one platform, None where there is none, and in words what moved inside of it."""

    platform: Platform
    before: Digest | None
    after: Digest | None
    inside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PinMove:
    """A parent of the lock that moved. `before` and `after` are what its tag pointed at, an index mostly.

    `replaces` is the parent's name before, where the same images went from one tag to another.
    """

    kind: Kind
    parent: str
    before: Digest | None
    after: Digest | None
    platforms: tuple[PlatformMove, ...]
    images: tuple[str, ...]
    place: Place
    replaces: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """An image that is built again or for the first time, and why; `seconds` are the last build's."""

    image: str
    reasons: tuple[str, ...]
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Radius:
    """How far the change reaches: what is rebuilt, in build order, what goes, and how many images stay.

    It is `partial` where a state cannot be loaded: more than is told may be rebuilt.
    """

    rebuilt: tuple[Rebuild, ...] = ()
    removed: tuple[str, ...] = ()
    untouched: int = 0
    partial: bool = False

    @property
    def seconds(self) -> float:
        """The seconds of the last builds together, as far as they are known."""
        return sum(one.seconds or 0.0 for one in self.rebuilt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """All that a reviewer is told. `unchanged` is how many Dockerfiles are the same byte for byte."""

    groups: tuple[Group, ...] = ()
    pins: tuple[PinMove, ...] = ()
    radius: Radius = field(default_factory=Radius)
    risks: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    unchanged: int = 0

    def fails(self, *, strict: bool) -> bool:
        """Whether a risk is an error, or, when strict, a warning."""
        failing = (Level.ERROR, Level.WARNING) if strict else (Level.ERROR,)
        return any(risk.level in failing for risk in self.risks)
