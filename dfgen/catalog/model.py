"""The catalog as records: families, and the images that their versions and platforms span."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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
PACKAGES = "packages"  # the setting `sbom` that has dfgen list packages itself
# What a build cache's name may hold in braces, and what it is of an image.
PLACEHOLDERS = ("family", "version", "arch")
PLACEHOLDER = re.compile(r"\{(\w+)\}")


def check_family_name(name: str) -> None:
    """Refuse a name that could not be the last part of an image's name."""
    try:
        Reference.parse(f"localhost/{name}:1")
    except InputError:
        expected = "lower-case letters and digits, with single '.', '_' or '-' between them"
        raise InputError(f"{name!r} is not a family name; expected {expected}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeTest:
    """What a built image must do: run a command, or become healthy.

    `command` is a program with its arguments, or one line for the shell; `healthy` and `timeout` are seconds.
    """

    name: str
    command: tuple[str, ...] | str = ()
    expect: str = ""
    exit: int = 0
    healthy: int = 0
    network: bool = False
    timeout: int = 60
    place: Place = field(default_factory=lambda: Place(""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """What one stage of an image is built on, before it is pinned.

    `family` and `version` are set when the parent is an image of this catalog.
    """

    reference: Reference
    platform: Platform
    place: Place
    family: str = ""
    version: str = ""

    @property
    def key(self) -> str:
        """Its name in the lock: `docker.io/library/nginx:1.28`, or `java-base:1.0` for a family's."""
        return f"{self.family}:{self.version}" if self.family else str(self.reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class JinjaOptions:
    """How a family's templates treat white space."""

    trim_blocks: bool = True
    lstrip_blocks: bool = True
    keep_trailing_newline: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """A node that builds a platform: a docker context, a buildx builder, or with neither the local engine.

    `jobs` is how many builds it takes at once; 0 is twice as many as it has cores.
    """

    context: str = ""
    builder: str = ""
    jobs: int = 0

    @property
    def name(self) -> str:
        """What the node is called."""
        return self.context or self.builder or "default"


LOCAL = Builder()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildCache:
    """Where builds read BuildKit's cache and leave it, as buildx takes it: `type=registry,ref=…`."""

    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    def of(self, image: Image) -> BuildCache:
        """The caches of one image: `{family}`, `{version}` and `{arch}` replaced."""
        words = {"family": image.family.name, "version": image.version, "arch": image.platform.row.tag}

        def fill(text: str) -> str:
            """The words are known to be right: the catalog's file was checked for others."""
            return PLACEHOLDER.sub(lambda found: words[found[1]], text)

        return BuildCache(
            sources=tuple(fill(text) for text in self.sources),
            targets=tuple(fill(text) for text in self.targets),
        )


NO_CACHE = BuildCache()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Family:
    """What all images of a family share; `base_file` and `context` are relative to the root."""

    name: str
    description: str
    context: PurePosixPath
    snippets: frozenset[str]
    jinja: JinjaOptions
    architecture_independent: bool
    lint: Mapping[str, str]

    @property
    def folder(self) -> PurePosixPath:
        """`bases/java-base`."""
        return PurePosixPath(BASES, self.name)

    @property
    def base_file(self) -> str:
        """`bases/java-base/base.yaml`."""
        return str(self.folder / "base.yaml")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Image:
    """One family, version and platform: one Dockerfile, one manifest, one per-architecture tag."""

    family: Family
    version: str
    platform: Platform
    template: str
    parent: Parent
    parents: Mapping[str, Parent]  # of further stages, by name
    variables: Mapping[str, Any]
    packages: tuple[Package, ...]
    labels: Mapping[str, str]
    tests: tuple[SmokeTest, ...]
    immutable: bool
    end_of_life: str
    place: Place
    layers: Layers  # what its settings were merged from, for whoever asks where one was set

    @property
    def name(self) -> str:
        """How a person selects it: `java-base:1.0@arm64`."""
        return f"{self.merged_name}@{self.platform.row.dockerfile}"

    @property
    def merged_name(self) -> str:
        """The version it belongs to: `java-base:1.0`."""
        return f"{self.family.name}:{self.version}"

    @property
    def tag(self) -> str:
        """Its per-architecture tag: `1.0-aarch64`."""
        return f"{self.version}{self.platform.tag_suffix}"

    @property
    def path(self) -> str:
        """`bases/java-base/1.0/Dockerfile_arm64`, relative to the root."""
        return f"{BASES}/{self.family.name}/{self.version}/{self.platform.dockerfile}"

    @property
    def dockerfile(self) -> PurePosixPath:
        """The same as a path."""
        return PurePosixPath(self.path)

    @property
    def all_parents(self) -> tuple[Parent, ...]:
        """The parents of every stage, that of the image itself first."""
        return (self.parent, *self.parents.values())


@dataclass(frozen=True, kw_only=True, eq=False)
class Catalog:
    """A whole catalog. `images` stand in the order of families, versions and platforms.

    `sbom` is the image that makes bills of materials, empty for none; with `lists_packages` dfgen makes them
    from the images' own package databases. `provenance` is the mode of BuildKit's attestations, `min` or
    `max`, empty for none. `source_date_epoch` is in seconds since 1970.
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
        """The images of each version, by `java-base:1.0`."""
        found: dict[str, list[Image]] = {}
        for image in self.images:
            found.setdefault(image.merged_name, []).append(image)
        return {name: tuple(images) for name, images in found.items()}

    def reference(self, family: str, tag: str, registry: str = "") -> Reference:
        """Where a tag of a family is published."""
        return Reference.parse(f"{registry or self.registry}/{family}:{tag}")

    def mirrored(self, reference: Reference) -> Reference:
        """Where a parent is read, and what FROM says: the longest mirror that covers it, or itself."""
        name = str(reference.repository)
        for prefix in sorted(self.mirrors, key=len, reverse=True):
            if name == prefix or name.startswith(f"{prefix}/"):
                moved = Reference.parse(f"{self.mirrors[prefix]}{name.removeprefix(prefix)}")
                return Reference(moved.repository, reference.tag, reference.digest)
        return reference

    def upstream_parents(self) -> Iterator[Parent]:
        """Every use of a parent that comes from outside of the catalog."""
        for image in self.images:
            yield from (parent for parent in image.all_parents if not parent.family)
