"""Finds the package managers that a script runs, and the packages that they install."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dfgen.dockerfile.shell import Command, Word, every_command

_INSTALL = {
    "apt": ("install",),
    "apt-get": ("install",),
    "apk": ("add",),
    "dnf": ("install",),
    "microdnf": ("install",),
    "yum": ("install",),
    "zypper": ("install", "in"),
    "pip": ("install",),
    "pip3": ("install",),
}
_RPM = frozenset(("dnf", "microdnf", "yum", "zypper"))
_MANAGER = re.compile(rf"(?:.*/s?bin/)?({'|'.join(map(re.escape, _INSTALL))})")
# Commands that only print their arguments.
_PRINTS = frozenset(("echo", "printf", ":", "true"))
# Options whose value is the next word.
_VALUED = frozenset(("-t", "--virtual", "--repository", "-X", "-r", "-c", "-o", "-i", "--index-url"))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._:@/\[\]-]*")
_PINNED = re.compile(r"([^=~<>]+?)(?:===?|[~<>]=?|=~?)(.+)")
_RPM_PINNED = re.compile(r"(.+?)-([0-9][^-]*(?:-[^-]+)?)")


@dataclass(frozen=True, slots=True)
class ManagerCommand:
    """A call of a package manager, with its arguments."""

    manager: str
    arguments: tuple[Word, ...]

    @property
    def is_install(self) -> bool:
        """Whether it installs packages."""
        return any(word.value in _INSTALL[self.manager] for word in self.arguments)

    @property
    def packages(self) -> Iterator[tuple[str, str]]:
        """The installed packages with their pinned versions, "" if not pinned."""
        words = iter([word.value for word in self.arguments])
        if not any(word in _INSTALL[self.manager] for word in words):
            return
        for word in words:
            if word in _VALUED:
                next(words, "")
            elif not word.startswith("-"):
                yield from self._package(word)

    def _package(self, word: str) -> Iterator[tuple[str, str]]:
        pinned = (_RPM_PINNED if self.manager in _RPM else _PINNED).fullmatch(word)
        name, version = (pinned[1], pinned[2]) if pinned else (word, "")
        if _NAME.fullmatch(name):
            yield name, version


def manager_commands(text: str) -> Iterator[ManagerCommand]:
    """Yield the package managers of a script, including those after `sudo` or `retry 3`, and in `sh -c`."""
    for command in every_command(text):
        if command.name not in _PRINTS:
            yield from _managed(command)


def _managed(command: Command) -> Iterator[ManagerCommand]:
    for at, word in enumerate(command.words):
        if found := _MANAGER.fullmatch(word.value):
            yield ManagerCommand(found[1], command.words[at + 1 :])
            return


def installed(text: str) -> dict[str, str]:
    """Return the packages that a script installs with their pinned versions, "" if not pinned."""
    return dict(package for one in manager_commands(text) for package in one.packages)
