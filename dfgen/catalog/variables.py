"""What a template can use: the catalog's own variables, and what dfgen knows of the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dfgen.catalog.model import Catalog, Image
from dfgen.errors import InputError
from dfgen.oci.manifest import BASE_DIGEST, BASE_NAME
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference

TITLE = "org.opencontainers.image.title"
VERSION = "org.opencontainers.image.version"
DESCRIPTION = "org.opencontainers.image.description"

# How Debian names architectures; what is not here has the same name as in OCI.
_DEBIAN = {"linux/arm/v7": "armhf", "linux/ppc64le": "ppc64el"}


@dataclass(frozen=True, slots=True)
class PinnedParent:
    """A parent in a template: `FROM {{ parent }}` writes platform, name and digest."""

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
        """The tag alone."""
        return self.pinned.tag

    @property
    def digest(self) -> str:
        """The digest alone."""
        return str(self.pinned.digest)

    def __dockerfile__(self) -> str:
        """Write it as FROM takes it; it is dfgen's own text and needs no quoting."""
        return f"--platform={self.platform} {self.pinned}"

    def __str__(self) -> str:
        """Write it as FROM takes it."""
        return self.__dockerfile__()


class TemplatePlatform(str):
    """A platform in a template: `{{ platform }}` is linux/arm64, the attributes are its parts and names.

    It equals any alias of itself, since a person types one.
    """

    value: Platform

    def __new__(cls, value: Platform) -> TemplatePlatform:
        """Make it from the value."""
        made = super().__new__(cls, str(value))
        made.value = value
        return made

    @property
    def os(self) -> str:
        """`linux`."""
        return self.value.os

    @property
    def architecture(self) -> str:
        """`arm64`, as OCI and Go say."""
        return self.value.architecture

    @property
    def variant(self) -> str:
        """`v7`, or nothing."""
        return self.value.variant

    @property
    def uname(self) -> str:
        """`aarch64`, as `uname -m` and RPM say."""
        return self.value.row.tag

    @property
    def debian(self) -> str:
        """`arm64`, `armhf`, `ppc64el`, as dpkg says."""
        return _DEBIAN.get(str(self.value), self.value.architecture)

    def __eq__(self, other: object) -> bool:
        """Compare with a platform's name, under any alias."""
        if not isinstance(other, str):
            return False
        try:
            return str.__eq__(self, other) or Platform.parse(other) == self.value
        except InputError:
            return False

    def __ne__(self, other: object) -> bool:
        """Agree with equality."""
        return not self == other

    __hash__ = str.__hash__


def template_variables(catalog: Catalog, image: Image, pins: Mapping[str, PinnedParent]) -> dict[str, Any]:
    """Name all that a template can use; the catalog's variables win, but for RESERVED names."""
    parent = pins["parent"]
    labels = automatic_labels(image, parent.digest)
    own = {
        "family": image.family.name,
        "version": image.version,
        "description": image.family.description,
        "platform": TemplatePlatform(image.platform),
        "arch": image.platform.architecture,
        "packages": image.packages,
        "labels": {**labels, **image.labels},
        "registry": catalog.registry,
    }
    known = {
        **own,
        "name": f"{catalog.registry}/{image.family.name}",
        "tag": image.tag,
        "end_of_life": image.end_of_life,
    }
    stages = {name: pin for name, pin in pins.items() if name != "parent"}
    return {**own, **image.variables, "image": known, "parent": parent, "parents": stages}


def automatic_labels(image: Image, parent_digest: str) -> dict[str, str]:
    """List the labels that every image has unless the catalog says otherwise."""
    labels = {
        TITLE: image.family.name,
        VERSION: image.version,
        BASE_NAME: str(image.parent.reference.without_digest()),
        BASE_DIGEST: parent_digest,
    }
    return {**labels, **({DESCRIPTION: image.family.description} if image.family.description else {})}
