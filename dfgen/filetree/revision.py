"""File trees as git commits them: a revision, and a folder on disk that can be compared with one."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from dfgen.filetree import FOLDER_FINGERPRINT, Kind, Listing, printable_path, text_of, unreadable
from dfgen.filetree.git import Entry, Git

# The file that git-lfs commits in place of a large file; it contains the digest of that file.
# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md#the-pointer
_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n")
_POINTER_SIZE = 1024  # bytes at most, by that specification
_MAX_LINKS = 8  # links to follow from a file to the file that it finally leads to


class ContentCache:
    """Caches contents by their git object name, so that what two trees have in common is read once."""

    def __init__(self, git: Git | None = None) -> None:
        """Create a cache; `git` is None if both trees are folders outside a repository."""
        self._algorithm = git.algorithm if git else "sha1"
        self.texts: dict[str, str] = {}
        self.digests: dict[str, str] = {}

    def name(self, content: bytes) -> str:
        """Return git's object name of a content."""
        head = f"blob {len(content)}\0".encode()
        return hashlib.new(self._algorithm, head + content, usedforsecurity=False).hexdigest()


class Checkout:
    """A folder on disk as git would commit it.

    Ignored files are skipped, modes are 644 or 755, line ends are converted as in a commit, and a git-lfs
    pointer equals its file. So the folder can be compared with a revision, whatever umask and attributes
    checked it out.
    """

    def __init__(self, root: Path, cache: ContentCache, git: Git | None = None) -> None:
        """Open a folder; without a repository, all of its files count."""
        self._root, self._cache, self._git = root, cache, git
        self.submodules: set[str] = set()
        self._kinds: dict[str, Kind] = {}
        self._parts: set[str] = set()
        self._fingerprints: dict[str, str] = {}
        self._listed = Listing()

    def paths(self, parts: Sequence[str]) -> list[str]:
        """List the files and links below some folders, without ignored files and contents of submodules."""
        self._parts |= {*parts}
        found = (
            self._git.files(parts)
            if self._git
            else sorted({one for part in parts for one in self._walk(part)})
        )
        kinds = {path.rstrip("/"): kind for path in found if (kind := self._kind(path.rstrip("/")))}
        for path, kind in kinds.items():
            self._listed.add(path, kind)
        self._kinds |= kinds
        self.submodules |= {path for path, kind in kinds.items() if kind is Kind.SUBMODULE}
        return [path for path in kinds if path not in self.submodules]

    def entries(self, folder: str) -> Mapping[str, Kind]:
        """List a folder; files that git cannot commit are skipped."""
        if not _covered(folder, self._parts):
            self.paths([folder or "."])
        return self._listed.entries(folder)

    def target(self, path: str) -> str:
        """Return the target of a link."""
        return os.readlink(self._at(path))  # noqa: PTH115 (see _at)

    def read(self, path: str) -> bytes | None:
        """Return a file's content as git would commit it; None for a link."""
        content = self._read(path) if self._kinds.get(path) is Kind.FILE else None
        return None if content is None else self._committed(path, content)

    def is_external_link(self, path: str) -> bool:
        """Whether a path is a link out of the folder or into `.git`, which a review must not read."""
        if self._kinds.get(path) is not Kind.LINK:
            return False
        real, root = (Path(os.path.realpath(one)) for one in (self._at(path), self._root))
        return not real.is_relative_to(root) or ".git" in real.relative_to(root).parts

    def texts(self, paths: Iterable[str]) -> dict[str, str]:
        """Read text files; bytes that are not UTF-8 become U+FFFD."""
        found: dict[str, str] = {}
        for path in paths:
            content = None if self.is_external_link(path) else self._read(path)
            if content is not None:
                name = self._cache.name(content)
                if name not in self._cache.texts:
                    self._cache.texts[name] = text_of(self._committed(path, content))
                found[printable_path(path)] = self._cache.texts[name]
        return found

    def load(self, paths: Iterable[str]) -> None:
        """Do nothing: reading from disk needs no preloading."""

    def fingerprints(self, paths: Iterable[str]) -> dict[str, str]:
        """Return fingerprints as git would commit the paths."""
        found = {}
        for path in paths:
            if path not in self._fingerprints:
                self._fingerprints[path] = self._fingerprint(path)
            found[path] = self._fingerprints[path]
        return found

    def placeholders(self, paths: Iterable[str]) -> dict[str, str]:  # noqa: ARG002
        """Return nothing: git-lfs pointers equal their files."""
        return {}

    def _fingerprint(self, path: str) -> str:
        kind = self._kinds.get(path, Kind.FOLDER)
        if kind is Kind.FOLDER:
            return FOLDER_FINGERPRINT
        if kind is Kind.LINK:
            return f"link {printable_path(self.target(path))}"
        if kind is Kind.SUBMODULE:
            return f"submodule {self._submodule(path)}"
        content = self._read(path)
        if content is None:
            return "no file"
        name = self._cache.name(content)
        if name not in self._cache.digests:
            self._cache.digests[name] = _digest(self._committed(path, content))
        return _file(self._cache.digests[name], is_program=self._is_program(path))

    def _is_program(self, path: str) -> bool:
        return os.stat(self._at(path)).st_mode & stat.S_IXUSR != 0  # noqa: PTH116 (see _at)

    def _read(self, path: str) -> bytes | None:
        try:
            return Path(self._at(path)).read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            return None
        except OSError as error:
            raise unreadable(path, error) from error

    def _committed(self, path: str, content: bytes) -> bytes:
        """Undo the conversion of line ends by git checkout."""
        if b"\r\n" in content and b"\0" not in content and path in self._converted:
            return content.replace(b"\r\n", b"\n")
        return content

    @cached_property
    def _converted(self) -> frozenset[str]:
        return self._git.converted(sorted(self._parts)) if self._git else frozenset()

    def _kind(self, path: str) -> Kind | None:
        """Return the kind of a listed path in a commit; None if git cannot commit it."""
        try:
            mode = os.lstat(self._at(path)).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISDIR(mode):  # a submodule, another repository, or a folder at the path of a deleted file
            return Kind.SUBMODULE if self._submodule(path) else None
        return _COMMITTED.get(stat.S_IFMT(mode))

    def _submodule(self, path: str) -> str:
        return self._git.submodule(path) if self._git else ""

    def _walk(self, part: str) -> Iterator[str]:
        for at, folders, names in os.walk(self._at(part)):
            folders[:] = [name for name in folders if name != ".git"]
            links = [name for name in folders if os.path.islink(f"{at}/{name}")]  # noqa: PTH114 (see _at)
            # os.walk lists links to folders as folders, but does not follow them.
            yield from (os.path.relpath(f"{at}/{name}", self._root) for name in (*names, *links))

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"  # str: creating thousands of Path objects is slow


_COMMITTED = {stat.S_IFREG: Kind.FILE, stat.S_IFLNK: Kind.LINK}


class Revision:
    """The files of a commit below the folder of `git`."""

    def __init__(self, git: Git, commit: str, cache: ContentCache) -> None:
        """Open a commit; listings are cached."""
        self._git, self._commit, self._cache = git, commit, cache
        self.submodules: set[str] = set()
        self._entries: dict[str, Entry] = {}
        self._contents: dict[str, bytes] = {}
        self._parts: set[str] = set()
        self._listed = Listing()

    def paths(self, parts: Sequence[str]) -> list[str]:
        """List the files and links below some folders, without contents of submodules."""
        self._parts |= {*parts}
        found = self._git.entries(self._commit, parts)
        self._entries |= found
        for path, entry in found.items():
            self._listed.add(path, _kind_of_entry(entry))
        links = {path: entry.blob for path, entry in found.items() if entry.is_link}
        self._read(self._cache.texts, links.values())
        self.submodules |= {path for path, entry in found.items() if entry.is_submodule}
        return sorted(found.keys() - self.submodules)

    def entries(self, folder: str) -> Mapping[str, Kind]:
        """List a folder."""
        if not _covered(folder, self._parts):
            self.paths([folder or "."])
        return self._listed.entries(folder)

    def target(self, path: str) -> str:
        """Return the target of a link."""
        return self._cache.texts[self._entries[path].blob]

    def load(self, paths: Iterable[str]) -> None:
        """Preload files for `read` with a single call of git."""
        entries = (self._entries[path] for path in paths if path in self._entries)
        blobs = {one.blob for one in entries if one.is_file and one.blob not in self._contents}
        self._contents.update(self._git.contents(blobs))

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None for a link."""
        self.load([path])
        entry = self._entries.get(path)
        return self._contents[entry.blob] if entry and entry.is_file else None

    def is_external_link(self, path: str) -> bool:
        """Whether a path is a link to something outside the listed part of the commit."""
        return self._followed(path) is None

    def texts(self, paths: Iterable[str]) -> dict[str, str]:
        """Read text files; bytes that are not UTF-8 become U+FFFD."""
        found = {path: entry.blob for path in paths if (entry := self._followed(path))}
        self._read(self._cache.texts, found.values())
        return {printable_path(path): self._cache.texts[blob] for path, blob in found.items()}

    def fingerprints(self, paths: Iterable[str]) -> dict[str, str]:
        """Return fingerprints; uncached contents are read with a single call of git."""
        entries = {path: self._entries.get(path) for path in paths}
        missing = (
            one.blob
            for one in entries.values()
            if one and one.is_file and one.blob not in self._cache.digests
        )
        for name, content in self._git.contents(missing):
            self._cache.digests[name] = _digest(content)
        return {path: self._fingerprint(entry) for path, entry in entries.items()}

    def placeholders(self, paths: Iterable[str]) -> dict[str, str]:  # noqa: ARG002
        """Return nothing: git-lfs pointers equal their files."""
        return {}

    def write(self, paths: Iterable[str], target: Path) -> None:
        """Write files into a folder; links are replaced by the files that they lead to."""
        found: dict[str, list[Path]] = {}
        for path in paths:
            if entry := self._followed(path):
                found.setdefault(entry.blob, []).append(target / path)
        for folder in {path.parent for same in found.values() for path in same}:
            folder.mkdir(parents=True, exist_ok=True)
        for name, content in self._git.contents(found):
            for copy in found[name]:
                copy.write_bytes(content)

    def _fingerprint(self, entry: Entry | None) -> str:
        if entry is None:
            return FOLDER_FINGERPRINT
        if entry.is_link:
            return f"link {self._cache.texts[entry.blob]}"
        if entry.is_submodule:
            return f"submodule {entry.blob}"
        return _file(self._cache.digests[entry.blob], is_program=entry.is_program)

    def _read(self, cached: dict[str, str], blobs: Iterable[str]) -> None:
        for name, content in self._git.contents(blob for blob in blobs if blob not in cached):
            cached[name] = text_of(content)

    def _followed(self, path: str) -> Entry | None:
        """Follow links to a file within the listed part; None if they lead out of it."""
        for _ in range(_MAX_LINKS):
            entry = self._entries.get(path)
            if entry is None or entry.is_file:
                return entry
            if entry.is_submodule:
                return None
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), self._cache.texts[entry.blob]))
        return None


def _kind_of_entry(entry: Entry) -> Kind:
    if entry.is_link:
        return Kind.LINK
    return Kind.SUBMODULE if entry.is_submodule else Kind.FILE


def _covered(folder: str, parts: Iterable[str]) -> bool:
    """Whether a folder is, contains or is within one of the listed parts."""
    return any(
        part == "." or f"{folder}/".startswith(f"{part}/") or f"{part}/".startswith(f"{folder}/")
        for part in parts
    )


def _file(digest: str, *, is_program: bool) -> str:
    return f"file {'755' if is_program else '644'} sha256:{digest}"


def _digest(content: bytes) -> str:
    pointer = _POINTER.match(content) if len(content) <= _POINTER_SIZE else None
    return pointer[1].decode() if pointer else hashlib.sha256(content).hexdigest()
