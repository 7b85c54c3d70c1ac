"""Platforms as OCI spells them, and the one table of the names that people use for them.

Source of the spellings: the OCI image index specification, containerd's platform normalization,
and the architecture names of `uname -m`, Debian, and Docker's official images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache

from dfgen.errors import InputError, listing, nearest, printable


@dataclass(frozen=True, slots=True)
class Architecture:
    """One row of the table: how each place writes an architecture, and what a person may type for it."""

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

# What containerd treats as the same platform: a variant that is the architecture's default is left out.
_DEFAULT_VARIANTS = {("amd64", "v1"), ("arm64", "v8")}


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """An operating system and an architecture, normalized, so that equal platforms are equal values.

    `os_version` is that of Windows images and is empty elsewhere. `spelled` is the variant as the source had
    it (`v8`, or nothing, for the same arm64): an index entry spells it as the image's configuration does.
    """

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    spelled: str | None = field(default=None, compare=False, repr=False)

    @classmethod
    @cache
    def parse(cls, text: str) -> Platform:
        """Read any alias that a person may type; an unknown one is an InputError that names the nearest."""
        row = _BY_ALIAS.get(text.strip().lower())
        if row is None:
            hint = nearest(text.lower(), sorted(_BY_ALIAS))
            known = listing(row.oci for row in _TABLE)
            raise InputError(f"unknown architecture {text!r}{hint}; known are {known}")
        return cls.of(*row.oci.split("/"))

    @classmethod
    def of(cls, os: str, architecture: str, variant: str = "", os_version: str = "") -> Platform:
        """Normalize the words of an image configuration or an index entry."""
        os, architecture, variant, spelled = os.lower(), architecture.lower(), variant.lower(), variant
        if architecture == "arm" and not variant:
            variant = "v7"
        if (architecture, variant) in _DEFAULT_VARIANTS:
            variant = ""
        return cls(os, architecture, variant, os_version, spelled)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Platform:
        """Read the `platform` of an index entry, or the same keys of an image configuration."""
        words = (str(data.get(key) or "") for key in ("os", "architecture", "variant", "os.version"))
        return cls.of(*map(printable, words))

    def to_json(self) -> dict[str, str]:
        """Write the `platform` object of an index entry, in the specification's key order."""
        variant = self.variant if self.spelled is None else self.spelled
        data = {"architecture": self.architecture, "os": self.os}
        if self.os_version:
            data["os.version"] = self.os_version
        if variant:
            data["variant"] = variant
        return data

    def __str__(self) -> str:
        """Write `linux/arm64`, `linux/arm/v7`, `windows/amd64:10.0.20348.1`."""
        return _written(self.os, self.architecture, self.variant, self.os_version)

    @property
    def row(self) -> Architecture:
        """The table's row; asking for that of a platform dfgen cannot build is an InputError."""
        try:
            return _BY_OCI[str(self)]
        except KeyError:
            known = listing(row.oci for row in _TABLE)
            raise InputError(f"dfgen has no name for platform {self}; known are {known}") from None

    @property
    def dockerfile(self) -> str:
        """The file name of this platform's Dockerfile: `Dockerfile_arm64`."""
        return f"Dockerfile_{self.row.dockerfile}"

    @property
    def tag_suffix(self) -> str:
        """What its tag ends in: `-aarch64`."""
        return f"-{self.row.tag}"

    @property
    def is_unknown(self) -> bool:
        """Whether this is the `unknown/unknown` that BuildKit gives to attestation entries."""
        return self.os == "unknown" or self.architecture == "unknown"


@lru_cache(maxsize=1024)  # an index of a registry may name what it likes
def _written(os: str, architecture: str, variant: str, os_version: str) -> str:
    words = "/".join(word for word in (os, architecture, variant) if word)
    return f"{words}:{os_version}" if os_version else words


def aliases() -> dict[str, Platform]:
    """Every spelling that is accepted, with its platform."""
    return {word: Platform.parse(word) for word in sorted(_BY_ALIAS)}
