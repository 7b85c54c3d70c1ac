"""The files of a catalog in one state: those of a folder, or a revision's straight from git's objects.

Paths are relative to the catalog's folder, with `/`. Nothing is read through a link that leads out of it.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from dfgen.outside.git import Entry, Git
from dfgen.values.errors import OutsideError, Place, Problem

# What git-lfs keeps in the place of a large file, which has the digest of that file.
_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n")
_POINTER_SIZE = 1024  # bytes at most
_STEPS = 8  # from link to link


class Seen:
    """What was read of either state, by git's name of the content: what both have is read and kept once."""

    def __init__(self, git: Git | None = None) -> None:
        """Take the repository, None where both states are folders."""
        self._algorithm = git.algorithm if git else "sha1"
        self.texts: dict[str, str] = {}
        self.digests: dict[str, str] = {}

    def name(self, content: bytes) -> str:
        """Name a content as git does."""
        head = f"blob {len(content)}\0".encode()
        return hashlib.new(self._algorithm, head + content, usedforsecurity=False).hexdigest()


class Folder:
    """A folder on disk."""

    def __init__(self, root: Path, seen: Seen, git: Git | None = None) -> None:
        """Take the folder's repository, None where all that lies in the folder counts."""
        self._root, self._seen, self._git = root, seen, git
        self._links: set[str] = set()
        self._parts: set[str] = set()

    def paths(self, parts: Sequence[str]) -> list[str]:
        """The files below some folders, links included; none that git ignores, and none of a submodule."""
        self._parts |= {*parts}
        found = (
            self._git.files(parts)
            if self._git
            else sorted({one for part in parts for one in self._walk(part)})
        )
        kinds = {path: self._kind(path) for path in found}
        self._links |= {path for path, kind in kinds.items() if kind == stat.S_IFLNK}
        return [path for path, kind in kinds.items() if kind in (stat.S_IFLNK, stat.S_IFREG)]

    def is_stray(self, path: str) -> bool:
        """Whether it is a link that leads out of the folder, or to what git keeps in it."""
        if path not in self._links:
            return False
        real, root = (Path(os.path.realpath(one)) for one in (self._at(path), self._root))
        return not real.is_relative_to(root) or ".git" in real.relative_to(root).parts

    def texts(self, paths: Iterable[str]) -> dict[str, str]:
        """Read files. A byte that is not UTF-8 becomes U+FFFD."""
        found: dict[str, str] = {}
        for path in paths:
            content = None if self.is_stray(path) else self._read(path)
            if content is not None:
                name = self._seen.name(content)
                if name not in self._seen.texts:
                    self._seen.texts[name] = _text(self._committed(path, content))
                found[_shown(path)] = self._seen.texts[name]
        return found

    def prints(self, paths: Iterable[str]) -> dict[str, str]:
        """What changes when a file's content or mode does; of a link, when its target does."""
        return {_shown(path): self._print(path) for path in paths}

    def _print(self, path: str) -> str:
        if path in self._links:
            return f"link {_shown(os.fspath(Path(self._at(path)).readlink()))}"
        content = self._read(path)
        if content is None:
            return "no file"
        name = self._seen.name(content)
        if name not in self._seen.digests:
            self._seen.digests[name] = _digest(self._committed(path, content))
        return f"{self._is_program(path)} {self._seen.digests[name]}"

    def _is_program(self, path: str) -> bool:
        return os.stat(self._at(path)).st_mode & stat.S_IXUSR != 0  # noqa: PTH116 (see _at)

    def _read(self, path: str) -> bytes | None:
        try:
            return Path(self._at(path)).read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            return None
        except OSError as error:
            problem = Problem(Place(_shown(path)), f"cannot be read: {error.strerror}")
            raise OutsideError(problem) from error

    def _committed(self, path: str, content: bytes) -> bytes:
        """Undo what git does to the lines of a text when it checks it out."""
        if b"\r\n" in content and b"\0" not in content and path in self._converted:
            return content.replace(b"\r\n", b"\n")
        return content

    @cached_property
    def _converted(self) -> frozenset[str]:
        return self._git.converted(sorted(self._parts)) if self._git else frozenset()

    def _kind(self, path: str) -> int | None:
        try:
            return stat.S_IFMT(os.lstat(self._at(path)).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _walk(self, part: str) -> Iterator[str]:
        for at, folders, names in os.walk(self._at(part)):
            folders[:] = [name for name in folders if name != ".git"]
            # A link to a folder stands among the folders, and is not walked.
            yield from (os.path.relpath(f"{at}/{name}", self._root) for name in (*names, *folders))

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"  # text: a Path for each of thousands takes its time


class Revision:
    """What a commit holds below the folder that `git` was made for."""

    def __init__(self, git: Git, commit: str, seen: Seen) -> None:
        """Take the repository and the commit; what is listed stays known."""
        self._git, self._commit, self._seen = git, commit, seen
        self._entries: dict[str, Entry] = {}

    def paths(self, parts: Sequence[str]) -> list[str]:
        """The files below some folders, links included; none of a submodule."""
        found = self._git.entries(self._commit, parts)
        self._entries |= found
        links = {path: entry.blob for path, entry in found.items() if entry.is_link}
        self._read(self._seen.texts, links.values())
        return sorted(found)

    def is_stray(self, path: str) -> bool:
        """Whether it is a link to what the commit does not hold, as far as it is listed."""
        return self._followed(path) is None

    def texts(self, paths: Iterable[str]) -> dict[str, str]:
        """Read files. A byte that is not UTF-8 becomes U+FFFD."""
        found = {path: entry.blob for path in paths if (entry := self._followed(path))}
        self._read(self._seen.texts, found.values())
        return {_shown(path): self._seen.texts[blob] for path, blob in found.items()}

    def prints(self, paths: Iterable[str]) -> dict[str, str]:
        """What changes when a file's content or mode does; of a link, when its target does."""
        entries = {path: self._entries[path] for path in paths}
        missing = (
            one.blob for one in entries.values() if not one.is_link and one.blob not in self._seen.digests
        )
        for name, content in self._git.contents(missing):
            self._seen.digests[name] = _digest(content)
        return {_shown(path): self._print(entry) for path, entry in entries.items()}

    def write(self, paths: Iterable[str], target: Path) -> None:
        """Write files into a folder; a link becomes the file that it leads to."""
        found: dict[str, list[Path]] = {}
        for path in paths:
            if entry := self._followed(path):
                found.setdefault(entry.blob, []).append(target / path)
        for folder in {path.parent for same in found.values() for path in same}:
            folder.mkdir(parents=True, exist_ok=True)
        for name, content in self._git.contents(found):
            for copy in found[name]:
                copy.write_bytes(content)

    def _print(self, entry: Entry) -> str:
        if entry.is_link:
            return f"link {self._seen.texts[entry.blob]}"
        return f"{entry.is_program} {self._seen.digests[entry.blob]}"

    def _read(self, known: dict[str, str], blobs: Iterable[str]) -> None:
        for name, content in self._git.contents(blob for blob in blobs if blob not in known):
            known[name] = _text(content)

    def _followed(self, path: str) -> Entry | None:
        """Find the file itself, whatever links lead to it within what is listed."""
        for _ in range(_STEPS):
            entry = self._entries.get(path)
            if entry is None or not entry.is_link:
                return entry
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), self._seen.texts[entry.blob]))
        return None


def _digest(content: bytes) -> str:
    pointer = _POINTER.match(content) if len(content) <= _POINTER_SIZE else None
    return pointer[1].decode() if pointer else hashlib.sha256(content).hexdigest()


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="replace")


def _shown(path: str) -> str:
    """A name that can be printed: a byte that is not UTF-8 becomes U+FFFD."""
    return path if path.isascii() else _text(os.fsencode(path))
