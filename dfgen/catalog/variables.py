"""Variables of templates: those of the catalog, and those that dfgen defines for each image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from dfgen.catalog.layers import last
from dfgen.catalog.model import Catalog, Image
from dfgen.catalog.versions import Version
from dfgen.errors import InputError
from dfgen.oci.manifest import BASE_DIGEST, BASE_NAME
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference

TITLE = "org.opencontainers.image.title"
VERSION = "org.opencontainers.image.version"
DESCRIPTION = "org.opencontainers.image.description"

# Debian's architecture names that differ from OCI's: https://wiki.debian.org/SupportedArchitectures
_DEBIAN = {"linux/arm/v7": "armhf", "linux/ppc64le": "ppc64el"}


@dataclass(frozen=True, slots=True)
class PinnedParent:
    """A parent in a template: `FROM {{ parent }}` is rendered as `--platform=… name:tag@digest`."""

    pinned: Reference
    platform: Platform

    @property
    def reference(self) -> str:
        """Name, tag and digest, for `COPY --from={{ parents.tool.reference }}`."""
        return str(self.pinned)

    @property
    def name(self) -> str:
        """Name and tag without the digest."""
        return str(self.pinned.without_digest())

    @property
    def tag(self) -> str:
        """The tag."""
        return self.pinned.tag

    @property
    def digest(self) -> str:
        """The digest."""
        return str(self.pinned.digest)

    def __dockerfile__(self) -> str:
        """Format it for FROM. Not quoted when rendered, since dfgen generates it from validated values."""
        return f"--platform={self.platform} {self.pinned}"

    def __str__(self) -> str:
        """Format it for FROM."""
        return self.__dockerfile__()


class Scratch:
    """The parent of an image without one: `FROM {{ parent }}` is rendered as `FROM scratch`."""

    def __dockerfile__(self) -> str:
        """Format it for FROM."""
        return "scratch"

    def __str__(self) -> str:
        """Format it for FROM."""
        return self.__dockerfile__()


class PlatformName(str):
    """A spelling of a platform or of its architecture in a template, for example `arch`.

    Compares equal to every alias, since users write `arch == "aarch64"` as well as `arch == "arm64"`.
    """

    value: Platform

    def __new__(cls, text: str, value: Platform) -> PlatformName:
        """Create it from a spelling and its platform."""
        made = super().__new__(cls, text)
        made.value = value
        return made

    def __eq__(self, other: object) -> bool:
        """Compare with the name or any alias of a platform."""
        if not isinstance(other, str):
            return False
        try:
            return str.__eq__(self, other) or Platform.parse(other) == self.value
        except InputError:
            return False

    def __ne__(self, other: object) -> bool:
        """Override `str.__ne__`, which would not accept aliases."""
        return not self == other

    __hash__ = str.__hash__


class TemplatePlatform(PlatformName):
    """A platform in a template: `{{ platform }}` is `linux/arm64`, its attributes are parts and aliases."""

    def __new__(cls, value: Platform) -> TemplatePlatform:
        """Create it from a platform."""
        return cast(TemplatePlatform, super().__new__(cls, str(value), value))

    @property
    def os(self) -> str:
        """The operating system: `linux`."""
        return self.value.os

    @property
    def architecture(self) -> PlatformName:
        """The architecture in OCI and Go: `arm64`."""
        return PlatformName(self.value.architecture, self.value)

    @property
    def variant(self) -> str:
        """The variant: `v7`, or empty."""
        return self.value.variant

    @property
    def uname(self) -> PlatformName:
        """The architecture in `uname -m` and RPM: `aarch64`."""
        return PlatformName(self.value.row.tag, self.value)

    @property
    def debian(self) -> PlatformName:
        """The architecture in Debian: `arm64`, `armhf`, `ppc64el`."""
        return PlatformName(_DEBIAN.get(str(self.value), self.value.architecture), self.value)


def template_variables(
    catalog: Catalog, image: Image, pins: Mapping[str, PinnedParent], base: str = "parent"
) -> dict[str, Any]:
    """Return all variables of an image's template, by name.

    The catalog's variables override dfgen's, except `image`, `parent` and `parents` (RESERVED), which a
    catalog cannot define. `pins` maps `parent`, and the names of further stages, to pinned parents. `base` is
    the name of the one that the image is based on, "" for none.
    """
    labels = automatic_labels(image, pins, base)
    own = {
        "family": image.family.name,
        "version": Version(image.version),
        "description": image.family.description,
        "platform": (platform := TemplatePlatform(image.platform)),
        "arch": platform.architecture,
        "packages": image.packages,
        "labels": {**labels, **image.labels},
        "registry": catalog.registry,
    }
    details = {
        **own,
        "name": f"{catalog.registry}/{image.family.name}",
        "tag": image.tag,
        "end_of_life": image.end_of_life,
    }
    stages = {name: pin for name, pin in pins.items() if name != "parent"}
    parent: dict[str, PinnedParent | Scratch] = {"parent": pins["parent"]} if "parent" in pins else {}
    # A family that sets no parent at all has forgotten it if its template prints one.
    if not parent and last(image.layers, "parent"):
        parent = {"parent": Scratch()}
    return {
        **own,
        **image.variables,
        "image": details,
        **parent,
        "parents": stages,
    }


def automatic_labels(image: Image, pins: Mapping[str, PinnedParent], base: str) -> dict[str, str]:
    """Return the labels that dfgen sets on every image; the catalog can override them.

    https://github.com/opencontainers/image-spec/blob/main/annotations.md
    """
    labels = {TITLE: image.family.name, VERSION: image.version}
    if base in pins:
        parent = image.parent if base == "parent" and image.parent else image.parents[base]
        labels[BASE_NAME] = str(parent.reference.without_digest())
        labels[BASE_DIGEST] = pins[base].digest
    return {**labels, **({DESCRIPTION: image.family.description} if image.family.description else {})}
