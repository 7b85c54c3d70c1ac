"""Records of a loaded catalog: families, and one image for each version and platform."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from dfgen.catalog.layers import Layers, Package
from dfgen.errors import InputError, Place
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference

BASES = "bases"
TEMPLATES = "templates"
CATALOG_FILE = f"{BASES}/catalog.yaml"
PACKAGES = "packages"  # value of `sbom` for SBOMs that dfgen generates from package databases
# Placeholders in the names of build caches, for example {family}.
PLACEHOLDERS = ("family", "version", "arch")
PLACEHOLDER = re.compile(r"\{(\w+)\}")


def check_family_name(name: str) -> None:
    """Raises InputError if a name cannot be the last component of an image name."""
    try:
        Reference.parse(f"localhost/{name}:1")
    except InputError:
        expected = "lower-case letters and digits, with single '.', '_' or '-' between them"
        raise InputError(f"{name!r} is not a family name; expected {expected}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeTest:
    """A smoke test of a built image: run a command, start the image as it is, or both.

    `command` is a program with its arguments, or one line for the shell. It replaces the ENTRYPOINT, or runs
    in the container if the test also starts the image. `args` replace the CMD; () keeps it. `expect` is text
    that the output must contain, `exit` the expected exit status. A started image must stay up for `starts`
    seconds, be healthy within `healthy` seconds, accept connections on all `ports`, and print output that
    matches the regular expression `logs`, each if it is set. `timeout` is in seconds.
    """

    name: str
    command: tuple[str, ...] | str = ()
    args: tuple[str, ...] | None = None
    expect: str = ""
    exit: int = 0
    healthy: int = 0
    starts: int = 0
    ports: tuple[int, ...] = ()
    logs: str = ""
    network: bool = False
    timeout: int = 60
    place: Place = field(default_factory=lambda: Place(""))

    @property
    def keeps_running(self) -> bool:
        """Whether the test starts the image and watches it, instead of waiting until it ends."""
        return bool(self.healthy or self.starts or self.ports or self.logs)

    @property
    def ends(self) -> bool:
        """Whether the test runs a program that must end with the expected exit status."""
        return bool(self.command) or not self.keeps_running


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The parent of one build stage, before it is pinned.

    `family` and `version` are set if the parent is an image of this catalog.
    """

    reference: Reference
    platform: Platform
    place: Place
    family: str = ""
    version: str = ""

    @property
    def key(self) -> str:
        """Its key in the lock: `docker.io/library/nginx:1.28`, or `java-base:1.0` in this catalog."""
        return f"{self.family}:{self.version}" if self.family else str(self.reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class JinjaOptions:
    """Jinja's whitespace options for a family's templates."""

    trim_blocks: bool = True
    lstrip_blocks: bool = True
    keep_trailing_newline: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """A build node: a docker context, a buildx builder, or the local engine if both are empty.

    `jobs` limits the concurrent builds; 0 means two per core.
    """

    context: str = ""
    builder: str = ""
    jobs: int = 0

    @property
    def name(self) -> str:
        """The node's name in messages."""
        return self.context or self.builder or "default"


LOCAL = Builder()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildCache:
    """Sources and targets of BuildKit's cache, in the syntax of buildx: `type=registry,ref=…`.

    https://docs.docker.com/build/cache/backends/
    """

    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    def of(self, image: Image) -> BuildCache:
        """The caches of one image, with `{family}`, `{version}` and `{arch}` replaced."""
        # Loading the catalog has already rejected other placeholders, so every name is a key.
        values = {"family": image.family.name, "version": image.version, "arch": image.platform.row.tag}
        sources, targets = (
            tuple(PLACEHOLDER.sub(lambda found: values[found[1]], text) for text in texts)
            for texts in (self.sources, self.targets)
        )
        return BuildCache(sources=sources, targets=targets)


NO_CACHE = BuildCache()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Family:
    """Settings that all images of a family share; paths are relative to the catalog's root.

    `snippets` are variables that contain Dockerfile text and are not quoted.
    """

    name: str
    description: str
    context: PurePosixPath
    snippets: frozenset[str]
    jinja: JinjaOptions
    architecture_independent: bool

    @property
    def folder(self) -> PurePosixPath:
        """The family's folder: `bases/java-base`."""
        return PurePosixPath(BASES, self.name)

    @property
    def base_file(self) -> str:
        """The family's settings file: `bases/java-base/base.yaml`."""
        return f"{BASES}/{self.name}/base.yaml"


# No __eq__ for Family, Image and Catalog: each exists once per catalog, and comparing by identity is cheap.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Image:
    """One family, version and platform: one Dockerfile, one manifest, one per-architecture tag."""

    family: Family
    version: str
    platform: Platform
    template: str
    parent: Parent | None  # None for scratch
    parents: Mapping[str, Parent]  # of further stages, by name
    variables: Mapping[str, Any]
    packages: tuple[Package, ...]
    labels: Mapping[str, str]
    tests: tuple[SmokeTest, ...]
    immutable: bool
    end_of_life: str
    place: Place
    layers: Layers  # the settings that were merged, kept to find the origin of each value
    foreign_programs: Mapping[str, str] = field(default_factory=dict)  # reasons, by pattern of paths
    locks_packages: bool = False

    @property
    def name(self) -> str:
        """Its name on the command line: `java-base:1.0@arm64`."""
        return f"{self.merged_name}@{self.platform.row.dockerfile}"

    @property
    def merged_name(self) -> str:
        """Name of its version, which is the multi-arch tag of all platforms: `java-base:1.0`."""
        return f"{self.family.name}:{self.version}"

    @property
    def tag(self) -> str:
        """Its per-architecture tag: `1.0-aarch64`."""
        return f"{self.version}{self.platform.tag_suffix}"

    @property
    def layout_name(self) -> str:
        """Its name in the layout: `java-base:1.0-aarch64`."""
        return f"{self.family.name}:{self.tag}"

    @property
    def path(self) -> str:
        """Its Dockerfile, relative to the root: `bases/java-base/1.0/Dockerfile_arm64`."""
        return f"{BASES}/{self.family.name}/{self.version}/{self.platform.dockerfile}"

    @property
    def dockerfile(self) -> PurePosixPath:
        """The same as `path`, as a path object."""
        return PurePosixPath(self.path)

    @property
    def package_lock(self) -> str:
        """Its package lock, relative to the root: `bases/java-base/1.0/packages_arm64.lock`."""
        arch = self.platform.dockerfile.removeprefix("Dockerfile_")
        return f"{BASES}/{self.family.name}/{self.version}/packages_{arch}.lock"

    @property
    def all_parents(self) -> tuple[Parent, ...]:
        """The parents of all stages; the image's own parent is first, if it has one."""
        return (*((self.parent,) if self.parent else ()), *self.parents.values())

    @property
    def stages(self) -> Mapping[str, Parent]:
        """The parents of all stages by their name in templates: `parent`, or that in `parents`."""
        return {"parent": self.parent, **self.parents} if self.parent else self.parents


def by_version(images: Iterable[Image]) -> dict[str, tuple[Image, ...]]:
    """Group images by version name, in order."""
    found: dict[str, list[Image]] = {}
    for image in images:
        found.setdefault(image.merged_name, []).append(image)
    return {name: tuple(group) for name, group in found.items()}


@dataclass(frozen=True, kw_only=True, eq=False)
class Catalog:
    """A loaded catalog; `images` are in the order of families, versions and platforms.

    `sbom` is the image that generates SBOMs, empty for none; if `lists_packages` is set, dfgen generates them
    from the images' package databases. `provenance` is the mode of BuildKit's provenance attestations, `min`
    or `max`, empty for none. `source_date_epoch` is in seconds since 1970.
    """

    root: Path
    registry: str
    mirrors: Mapping[str, str]
    builders: Mapping[Platform, tuple[Builder, ...]]
    source_date_epoch: int
    provenance: str
    insecure_registries: frozenset[str]
    ca_file: Path | None
    families: Mapping[str, Family]
    images: tuple[Image, ...]
    build_cache: BuildCache = NO_CACHE
    sbom: str = ""
    lists_packages: bool = False
    templates_root: str = field(default=TEMPLATES)

    @cached_property
    def versions(self) -> Mapping[str, tuple[Image, ...]]:
        """The images of each version; keys are version names such as `java-base:1.0`."""
        return by_version(self.images)

    def reference(self, family: str, tag: str, registry: str = "") -> Reference:
        """The reference under which a tag of a family is published."""
        return Reference.parse(f"{registry or self.registry}/{family}:{tag}")

    def mirrored(self, reference: Reference) -> Reference:
        """The reference to pull a parent from, also used in FROM: its mirror (longest match), or itself."""
        name = str(reference.repository)
        for prefix in sorted(self.mirrors, key=len, reverse=True):
            if name == prefix or name.startswith(f"{prefix}/"):
                moved = Reference.parse(f"{self.mirrors[prefix]}{name.removeprefix(prefix)}")
                return Reference(moved.repository, reference.tag, reference.digest)
        return reference

    def upstream_parents(self) -> Iterator[Parent]:
        """Every use of a parent that is not an image of this catalog; repeats a parent for each use."""
        for image in self.images:
            yield from (parent for parent in image.all_parents if not parent.family)
