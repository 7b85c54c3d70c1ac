"""Input and result of a review: the two states, the optional sources, and what was found."""

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

    `catalog` is None if it cannot be loaded; `problems` then say why. An unreadable lock is an empty one.
    `lock_text` is the lock file's text, to find the line of a pin. `dockerfiles` are the texts of all
    `bases/*/*/Dockerfile_*`, `package_locks` those of `bases/*/*/packages_*.lock`. `templates` are texts by
    the name that a family uses for them. `settings` are the texts of `catalog.yaml` and all `base.yaml`.
    `files` are all other files in build contexts, each with a fingerprint of its content and mode. `context`
    reads which of them an image uses.
    """

    catalog: Catalog | None = None
    lock: Lock = field(default_factory=Lock)
    lock_text: str = ""
    dockerfiles: Mapping[str, str] = field(default_factory=dict)
    package_locks: Mapping[str, str] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    context: ContextReader | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentDetails:
    """The manifest and configuration behind a parent's digest.

    `size` is in bytes; `platform` is None for an index.
    """

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
    """Optional sources of a review; a note says what remains unknown without one of them.

    `templates` render the images of the new state. `inspect` returns the details of a parent's digest, and
    `resolve` the current digest of a tag; both return None if that is unknown. `parity` returns undeclared
    differences between the platforms of versions, given all their images and the rendered texts by path.
    `origins` returns the template line of each rendered line of an image, None for dfgen's header.
    `seconds` are the durations of the last builds, by image name. `today` is a date, YYYY-MM-DD.
    """

    templates: TemplatesFor | None = None
    inspect: Callable[[Reference, Digest], ParentDetails | None] | None = None
    resolve: Callable[[Reference], Digest | None] | None = None
    parity: Callable[[Sequence[Image], Mapping[str, str]], Sequence[Finding]] | None = None
    origins: Callable[[Image], Sequence[Place | None]] | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    today: str = ""


class Kind(StrEnum):
    """How a file, an instruction or a pin changed."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    COSMETIC = "cosmetic"  # comments and whitespace only


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageMove:
    """A change of a package that a RUN installs.

    A version is "" if the RUN does not pin one, and None if the RUN does not install the package.
    """

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A changed instruction; on the side where it does not exist, the text is "" and the line 0.

    `summary` is one line, for example `RUN: curl added, wget removed`. Lines are those of the first file of
    the group.
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
    """The same change in all `files`; `steps` and `hunk`, the unified diff, are those of the first file.

    An added or removed file has no steps. An outlier uses the template of a much larger group, but changes
    in another way.
    """

    kind: Kind
    title: str
    steps: tuple[Step, ...]
    hunk: tuple[str, ...]
    files: tuple[str, ...]
    outlier: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformMove:
    """A changed pin of a parent for one platform; a digest is None if there is no pin.

    `inside` lists the differences between the two images, in words.
    """

    platform: Platform
    before: Digest | None
    after: Digest | None
    inside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PinMove:
    """A changed parent in the lock; `before` and `after` are the digests of its tag, usually of an index.

    `replaces` is the name of the old parent if the same images switched from one tag to another.
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
    """An image to build, and why; `seconds` is the duration of its last build, None if unknown."""

    image: str
    reasons: tuple[str, ...]
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """The images to build, in build order, those that are removed, and how many stay untouched.

    `partial` if a state cannot be loaded: more images may have to be built.
    """

    rebuilt: tuple[Rebuild, ...] = ()
    removed: tuple[str, ...] = ()
    untouched: int = 0
    partial: bool = False

    @property
    def seconds(self) -> float:
        """The total duration of the last builds; an unknown one counts as 0."""
        return sum(one.seconds or 0.0 for one in self.rebuilt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The result of a review; `unchanged` is the number of Dockerfiles that are identical byte for byte.

    `uninspected` is the number of new pins whose images were not inspected.
    """

    groups: tuple[Group, ...] = ()
    pins: tuple[PinMove, ...] = ()
    impact: Impact = field(default_factory=Impact)
    risks: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    unchanged: int = 0
    uninspected: int = 0

    def fails(self, *, strict: bool) -> bool:
        """Return whether a risk is an error or, if strict, a warning."""
        failing = (Level.ERROR, Level.WARNING) if strict else (Level.ERROR,)
        return any(risk.level in failing for risk in self.risks)
