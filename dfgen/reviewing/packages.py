"""The packages that a RUN installs, whatever the package manager, and what moved between two of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from dfgen.reviewing.records import PackageMove

_COMMANDS = re.compile(r"&&|\|\||[;|\n]")
_WORDS = re.compile(r"[^\s;&|]+|[;&|]+")
_VERBS = {
    "apt": "install",
    "apt-get": "install",
    "apk": "add",
    "dnf": "install",
    "microdnf": "install",
    "yum": "install",
    "zypper": "install",
    "pip": "install",
    "pip3": "install",
}
_RPM = frozenset(("dnf", "microdnf", "yum", "zypper"))
# Options whose value is the next word.
_VALUED = frozenset(("-t", "--virtual", "--repository", "-X", "-r", "-c", "-o", "-i", "--index-url"))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._:@/\[\]-]*")
_PINNED = re.compile(r"([^=~<>]+?)(?:===?|[~<>]=?|=~?)(.+)")
_RPM_PINNED = re.compile(r"(.+?)-([0-9][^-]*(?:-[^-]+)?)")


def _bare(word: str) -> str:
    """A word without its quotes, wherever they stand: `curl'=8.1*'` is curl=8.1*."""
    return word.replace('"', "").replace("'", "")


def _installed(command: str) -> Iterator[tuple[str, str]]:
    """Yield the packages of one shell command, each with its version or nothing."""
    words = command.split()
    at = next((at for at, word in enumerate(words) if word.rpartition("/")[2] in _VERBS), len(words))
    manager = words[at].rpartition("/")[2] if at < len(words) else ""
    rest = words[at + 1 :]
    if not manager or _VERBS[manager] not in rest:
        return
    skipped = False
    for word in rest[rest.index(_VERBS[manager]) + 1 :]:
        if not skipped and not word.startswith("-"):
            yield from _split(_bare(word), manager)
        skipped = word in _VALUED


def _split(word: str, manager: str) -> Iterator[tuple[str, str]]:
    pinned = (_RPM_PINNED if manager in _RPM else _PINNED).fullmatch(word)
    name, version = (pinned[1], pinned[2]) if pinned else (word, "")
    if _NAME.fullmatch(name):
        yield name, version


def installed(script: str) -> dict[str, str]:
    """Find what a shell script installs: names with the version that each is pinned to, "" for none."""
    return dict(found for command in _COMMANDS.split(script) for found in _installed(command))


def moves(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[PackageMove, ...]:
    """Compare two sets of packages; what is the same in both is left out."""
    return tuple(
        PackageMove(name=name, before=before.get(name), after=after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def told(move: PackageMove) -> str:
    """Say what became of a package: `curl added`, `tzdata 2026a → 2026b`."""
    if move.before is None:
        return f"{move.name}{f' {move.after}' if move.after else ''} added"
    if move.after is None:
        return f"{move.name} removed"
    return f"{move.name} {move.before or 'unpinned'} → {move.after or 'unpinned'}"


def without(script: str, found: Sequence[PackageMove]) -> str:
    """The script less the words that are these packages, to see whether anything else differs."""
    names = tuple(move.name for move in found)
    return " ".join(word for word in _WORDS.findall(script) if not _is_one(word, names))


def _is_one(word: str, names: Sequence[str]) -> bool:
    word = _bare(word)
    return any(word.startswith(name) and word[len(name) : len(name) + 1] in "=-~<>" for name in names)
