"""The package lock of an image: the packages that its build adds to the parent's, or changes.

`packages_ARCH.lock` is next to the Dockerfile: a comment, then `NAME VERSION ARCHITECTURE` for each package,
sorted. `dfgen build` writes it, and people review it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from dfgen.catalog import reading
from dfgen.errors import InputError, Place, Problem, printable
from dfgen.filetree import files
from dfgen.oci.digest import Digest

_HEADER = "# The packages that this image adds to its parent. Written by `dfgen build`; commit it.\n"
_MARKERS = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")
_AGAIN = "delete the file and run `dfgen build`"
_PARTS = re.compile(r"(\D*)(\d*)")


class LockedPackage(NamedTuple):
    """A package in a lock; `version` has the epoch if there is one: `1:3.0.7-27.el9`."""

    name: str
    architecture: str
    version: str

    def __str__(self) -> str:
        """Format as a line of the lock."""
        return " ".join(part for part in (self.name, self.version, self.architecture) if part)


class Move(NamedTuple):
    """The versions of a package that differ between two locks; `old` or `new` is empty if it is missing."""

    name: str
    architecture: str
    old: str
    new: str

    @property
    def is_downgrade(self) -> bool:
        """Whether the new version is older; False for packages with several versions."""
        single = self.old and self.new and " " not in self.old + self.new
        return bool(single) and _order(self.new) < _order(self.old)

    def __str__(self) -> str:
        """Format as `openssl 3.0.15-1 → 3.0.17-1`, `curl added (8.5.0-2)` or `curl removed`."""
        if not self.old:
            return f"{self.name} added ({self.new})"
        return f"{self.name} {self.old} → {self.new}" if self.new else f"{self.name} removed"


@dataclass(frozen=True)
class PackageLock:
    """The packages of a lock; two locks with the same packages are equal."""

    packages: frozenset[LockedPackage]

    @cached_property
    def text(self) -> str:
        """The text of the file."""
        return "".join([_HEADER, *(f"{package}\n" for package in sorted(self.packages))])

    @cached_property
    def digest(self) -> Digest:
        """The hash of the text, which identifies the packages."""
        return Digest.of(self.text.encode())

    @cached_property
    def versions(self) -> Mapping[str, str]:
        """The version of each package, by name; several versions are separated by a space."""
        found: dict[str, set[str]] = {}
        for package in self.packages:
            found.setdefault(package.name, set()).add(package.version)
        return {name: " ".join(sorted(versions)) for name, versions in found.items()}

    def moves_from(self, old: PackageLock) -> Iterator[Move]:
        """Yield the packages that differ from those of an earlier lock, sorted."""
        before, after = _versions(old.packages - self.packages), _versions(self.packages - old.packages)
        for name, architecture in sorted({*before, *after}):
            key = (name, architecture)
            yield Move(name, architecture, " ".join(before.get(key, [])), " ".join(after.get(key, [])))


def _versions(packages: Iterable[LockedPackage]) -> dict[tuple[str, str], list[str]]:
    # rpm can install several versions of a package at once.
    found: dict[tuple[str, str], list[str]] = {}
    for package in sorted(packages):
        found.setdefault((package.name, package.architecture), []).append(package.version)
    return found


def _order(version: str) -> tuple[object, ...]:
    """Return a key that sorts versions as dpkg does; rpm and apk agree for nearly all versions.

    https://manpages.debian.org/deb-version
    """
    epoch, colon, rest = version.partition(":")
    upstream, _, revision = (rest if colon else version).rpartition("-")
    if not upstream:
        upstream, revision = revision, "0"
    return (int(epoch) if colon and epoch.isdecimal() else 0, _parts(upstream), _parts(revision))


def _parts(text: str) -> tuple[object, ...]:
    """Split into text and numbers; the end sorts after `~`, and before letters and other characters."""
    found: list[object] = []
    for word, number in _PARTS.findall(text):
        characters = (-1 if one == "~" else ord(one) + (0 if one.isalpha() else 256) for one in word)
        found += [(*characters, 0), int(number or 0)]
    return tuple(found)


def read(root: Path, path: str) -> PackageLock | None:
    """Read a package lock of the catalog; None if the file does not exist.

    Raises InputError, with the line, if the file is not a package lock.
    """
    try:
        return parse(reading.read_text(root, path), path)
    except FileNotFoundError:
        return None


def write(root: Path, path: str, lock: PackageLock) -> None:
    """Write a package lock, atomically. Raises InputError if the folder is a link."""
    reading.check_folder(root, path.rpartition("/")[0])
    files.write(root / path, lock.text)


def parse(text: str, path: str) -> PackageLock:
    """Parse the text of a package lock; raises InputError with every line that is wrong."""
    found: list[LockedPackage] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#"):
            continue
        wrong = ""
        words = line.split(" ")
        package = LockedPackage(words[0], words[2] if len(words) > 2 else "", words[1] if words[1:] else "")
        if line.startswith(_MARKERS):
            problems = [Problem(Place(path, number), f"is a conflict marker of git; {_AGAIN}")]
            break
        if len(words) not in (2, 3) or not all(words) or not line.isprintable():
            wrong = f"{printable(line)!r} is not a package, expected `NAME VERSION ARCHITECTURE`"
        elif found and package == found[-1]:
            wrong = f"{package.name} is listed twice"
        elif found and package < found[-1]:
            wrong = f"{package.name} is not in order"
        else:
            found.append(package)
        if wrong:
            problems.append(Problem(Place(path, number), f"{wrong}; {_AGAIN}"))
    if problems:
        raise InputError(problems)
    return PackageLock(frozenset(found))
