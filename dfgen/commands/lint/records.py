"""What a rule gives, and how much each rule weighs."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from dfgen.dockerfile.stages import Shells
from dfgen.findings import Level

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
class Above:
    """What a Dockerfile inherits from images of the catalog: SHELL by reference, and apt's configuration."""

    shells: Shells
    has_apt_conf: bool


NOTHING_ABOVE = Above(shells=MappingProxyType({}), has_apt_conf=False)
