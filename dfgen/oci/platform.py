"""Platforms as OCI spells them, and the only table of their aliases.

Sources: the OCI image index specification
(https://github.com/opencontainers/image-spec/blob/main/image-index.md), containerd's normalization
(https://github.com/containerd/platforms), and the architecture names of `uname -m`, Debian and Docker's
official images.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import Any

from dfgen.errors import InputError, listing, nearest, printable


@dataclass(frozen=True, slots=True)
class Architecture:
    """A row of the table: how each output spells an architecture, and the aliases accepted as input."""

    oci: str
    dockerfile: str
    tag: str
    aliases: tuple[str, ...]


_TABLE = (
    Architecture("linux/amd64", "amd64", "x86_64", ("x86-64", "x64")),
    Architecture("linux/arm64", "arm64", "aarch64", ("arm64v8", "arm64/v8")),
    Architecture("linux/arm/v7", "armv7", "armv7l", ("arm32v7", "armhf", "arm/v7")),
    Architecture("linux/ppc64le", "ppc64le", "ppc64le", ()),
    Architecture("linux/s390x", "s390x", "s390x", ()),
    Architecture("linux/riscv64", "riscv64", "riscv64", ()),
)


def _spellings(row: Architecture) -> set[str]:
    short = {row.dockerfile, row.tag, row.oci.removeprefix("linux/"), *row.aliases}
    return short | {f"linux/{word}" for word in short}


_BY_ALIAS = {word: row for row in _TABLE for word in _spellings(row)}
_BY_OCI = {row.oci: row for row in _TABLE}

# Normalization as in https://github.com/containerd/platforms/blob/main/database.go: the architecture's
# name, and the variant if the name implies one.
_ARCHITECTURES = {
    "i386": ("386", ""),
    "x86_64": ("amd64", None),
    "x86-64": ("amd64", None),
    "aarch64": ("arm64", None),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
_VARIANTS = {
    "amd64": {"v1": ""},
    "arm64": {"8": "", "v8": ""},
    "arm": {"": "v7", "7": "v7", "5": "v5", "6": "v6", "8": "v8"},
}
# The names of the variants that equal no variant.
_DEFAULT_VARIANTS = {("amd64", "v1"), ("arm64", "v8")}
# The variants that containerd derives from a client's processor; clients request no others.
_REQUESTED = {
    "amd64": re.compile(r"v[234]"),
    "arm64": re.compile(r"v8\.[0-9]|v9(\.[0-9])?"),
    "arm": re.compile(r"v[5678]"),
}
_KEYS = frozenset({"os", "architecture", "variant", "os.version"})


def _supported() -> str:
    return listing(_BY_OCI)


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """A normalized platform, so that equal platforms compare equal.

    `os_version` is only set for Windows images. `spelled` is the default variant as the source spells it
    (`v8` or nothing for arm64): an index entry must spell it as the image's configuration does. `extra` has
    the other keys of an index entry's platform, for example `os.features`: preserved, but not compared.
    """

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    spelled: str | None = field(default=None, compare=False, repr=False)
    extra: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    @cache
    def parse(cls, text: str) -> Platform:
        """Parse any alias. Raises InputError if it is unknown, with the closest known alias."""
        row = _BY_ALIAS.get(text.strip().lower())
        if row is None:
            hint = nearest(text.lower(), sorted(_BY_ALIAS))
            raise InputError(f"unknown architecture {text!r}{hint}; supported: {_supported()}")
        return cls.of(*row.oci.split("/"))

    @classmethod
    def of(cls, os: str, architecture: str, variant: str = "", os_version: str = "") -> Platform:
        """Normalize the values of an image configuration or an index entry."""
        os, architecture, spelled = os.lower(), architecture.lower(), variant.lower()
        os = "darwin" if os == "macos" else os
        architecture, implied = _ARCHITECTURES.get(architecture, (architecture, None))
        variant = spelled if implied is None else implied
        variant = _VARIANTS.get(architecture, {}).get(variant, variant)
        if (architecture, spelled) not in _DEFAULT_VARIANTS:
            spelled = variant
        return cls(os, architecture, variant, os_version, spelled)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Platform:
        """Read the keys of a platform, for example in an image configuration."""
        values = (str(data.get(key) or "") for key in ("os", "architecture", "variant", "os.version"))
        return cls.of(*map(printable, values))  # untrusted, and printed in messages

    @classmethod
    def of_entry(cls, data: Mapping[str, object]) -> Platform:
        """Read the `platform` of an index entry with all its keys."""
        return replace(cls.from_json(data), extra={key: data[key] for key in data if key not in _KEYS})

    def to_json(self) -> dict[str, Any]:
        """Return the `platform` object of an index entry, in the specification's key order."""
        # Only the default variant has two spellings: nothing, and its name.
        variant = self.variant if self.variant or self.spelled is None else self.spelled
        data: dict[str, Any] = {"architecture": self.architecture, "os": self.os}
        if self.os_version:
            data["os.version"] = self.os_version
        if variant:
            data["variant"] = variant
        return {**data, **{key: self.extra[key] for key in sorted(self.extra)}}

    def __str__(self) -> str:
        """Format as `linux/arm64`, `linux/arm/v7` or `windows/amd64:10.0.20348.1`."""
        return _written(self.os, self.architecture, self.variant, self.os_version)

    @property
    def row(self) -> Architecture:
        """The row of the table. Raises InputError if dfgen cannot build this platform."""
        try:
            return _BY_OCI[str(self)]
        except KeyError:
            message = f"dfgen does not build images for {self}; supported: {_supported()}"
            raise InputError(message) from None

    @property
    def dockerfile(self) -> str:
        """The file name of this platform's Dockerfile: `Dockerfile_arm64`."""
        return f"Dockerfile_{self.row.dockerfile}"

    @property
    def tag_suffix(self) -> str:
        """The suffix of this platform's tags: `-aarch64`."""
        return f"-{self.row.tag}"

    @property
    def is_requested(self) -> bool:
        """Whether clients request it: they know no other variants than those of containerd."""
        known = _REQUESTED.get(self.architecture)
        return not self.variant or bool(known and known.fullmatch(self.variant))

    @property
    def is_unknown(self) -> bool:
        """Whether this is `unknown/unknown`, the platform of BuildKit's attestation entries."""
        return self.os == "unknown" or self.architecture == "unknown"


@lru_cache(maxsize=1024)  # bounded: the values of a foreign index are arbitrary
def _written(os: str, architecture: str, variant: str, os_version: str) -> str:
    words = "/".join(word for word in (os, architecture, variant) if word)
    return f"{words}:{os_version}" if os_version else words


def aliases() -> dict[str, Platform]:
    """Return the platform of every accepted alias."""
    return {word: Platform.parse(word) for word in sorted(_BY_ALIAS)}
