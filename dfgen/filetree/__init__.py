"""File trees: a folder on disk, or in `revision` what git commits, with the same interface.

Paths are relative to the root of the tree, with `/`; "" is the root. Links are only followed by `resolve`,
and never out of the tree.
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from dfgen.errors import ExternalError, Place, Problem
from dfgen.filetree import files

_MAX_LINKS = 255  # in one path, as in BuildKit
# Files that are checked out in place of large files: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
# and https://git-annex.branchable.com/internals/pointer_file/. Its locked files are links into .git.
_LFS_VERSIONS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
_ANNEX_LINK = "/.git/annex/objects/"
_MAX_POINTER = 1024  # bytes
FOLDER_FINGERPRINT = "folder 755"  # git does not record the mode of a folder


class Kind(StrEnum):
    """The kind of a folder's entry. The contents of a submodule are not listed."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    SUBMODULE = "submodule"
    SPECIAL = "special"  # a device, a pipe or a socket


class FileTree(Protocol):
    """The files below a root."""

    def entries(self, folder: str) -> Mapping[str, Kind]:
        """Return the kinds of a folder's entries by name; empty for a path that is not a folder."""

    def target(self, path: str) -> str:
        """Return the target of a link, as written."""

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None if the path is not a file."""

    def fingerprints(self, paths: Iterable[str]) -> dict[str, str]:
        """Return a fingerprint for each path: `file 644 sha256:…`, `folder 755`, `link ../x`.

        It covers everything that an image depends on: kind, mode and content, but neither time nor owner.
        """

    def placeholders(self, paths: Iterable[str]) -> dict[str, str]:
        """Return the paths whose content git has not checked out, each with what is there instead.

        Empty for a tree that is read from git, whose commits contain the placeholders.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A path with its links followed: `path` is "" for the root, and None after too many links.

    `links` are the followed links. `is_outside` if one of them points out of the root. A path into a
    submodule resolves to the submodule itself.
    """

    path: str | None
    links: tuple[str, ...] = ()
    is_outside: bool = False


def resolve(
    entries: Callable[[str], Mapping[str, Kind]], target: Callable[[str], str], path: str
) -> Resolved:
    """Follow the links of a path like BuildKit, as if the tree were the whole file system.

    `..` at the root stays at the root. A target is normalized before it is followed.
    """
    links: list[str] = []
    is_outside = False
    rest = _parts(path)
    done: list[str] = []
    while rest:
        part = rest.pop(0)
        here = "/".join((*done, part))
        kind = entries("/".join(done)).get(part)
        if kind is Kind.SUBMODULE:
            return Resolved(path=here, links=tuple(links), is_outside=is_outside)
        if kind is not Kind.LINK:
            done.append(part)
            continue
        if len(links) == _MAX_LINKS:
            return Resolved(path=None, links=tuple(links), is_outside=is_outside)
        links.append(here)
        leads = target(here)
        relative = posixpath.normpath("/".join((*done, leads)))
        is_outside = is_outside or leads.startswith("/") or relative.startswith("..")
        above = [] if leads.startswith("/") else done
        rest, done = _parts("/".join((*above, leads, *rest))), []
    return Resolved(path="/".join(done), links=tuple(links), is_outside=is_outside)


def _parts(path: str) -> list[str]:
    return [part for part in posixpath.normpath(f"/{path}").split("/") if part]


def within(folder: str, name: str) -> str:
    """Join the path of a folder and the name of an entry."""
    return f"{folder}/{name}" if folder else name


def kind_of(tree: FileTree, path: str) -> Kind | None:
    """Return the kind of a path; None if it does not exist."""
    folder, _, name = path.rpartition("/")
    return tree.entries(folder).get(name) if path else Kind.FOLDER


class Folder:
    """A folder on disk with all of its contents, as a build sends it to BuildKit."""

    def __init__(self, root: Path) -> None:
        """Create a snapshot of the folder: everything that was read is cached."""
        self._root = root
        self._entries: dict[str, Mapping[str, Kind]] = {}
        self._fingerprints: dict[str, str] = {}
        self._placeholders: dict[str, str] = {}

    def entries(self, folder: str) -> Mapping[str, Kind]:
        """List a folder; an unreadable folder counts as empty."""
        if folder not in self._entries:
            self._entries[folder] = self._scan(folder)
        return self._entries[folder]

    def target(self, path: str) -> str:
        """Return the target of a link."""
        return os.readlink(self._at(path))  # noqa: PTH115 (see _at)

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None if it is missing or a link. Raises ExternalError if unreadable."""
        try:
            # O_NONBLOCK: opening a FIFO would block.
            handle = os.open(self._at(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(handle, "rb", buffering=0) as file:  # noqa: PTH123 (a descriptor)
                return file.readall()
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return None
            raise unreadable(path, error) from error

    def fingerprints(self, paths: Iterable[str]) -> dict[str, str]:
        """Return fingerprints with the full mode. Raises ExternalError for an unreadable file."""
        found = {}
        for path in paths:
            if path not in self._fingerprints:
                self._fingerprints[path] = self._fingerprint(path)
            found[path] = self._fingerprints[path]
        return found

    def placeholders(self, paths: Iterable[str]) -> dict[str, str]:
        """Return the placeholders of git-lfs and git-annex, with the command that fetches the content."""
        return {
            path: self._placeholders[path] for path in self.fingerprints(paths) if path in self._placeholders
        }

    def _fingerprint(self, path: str) -> str:
        try:
            found = os.lstat(self._at(path))
            if stat.S_ISLNK(found.st_mode):
                target = self.target(path)
                if _ANNEX_LINK in f"/{target}":
                    self._placeholders[path] = (
                        "a link of git-annex; run `git annex get` and `git annex unlock`"
                    )
                return f"link {target}"
            mode = f"{stat.S_IMODE(found.st_mode):o}"
            if stat.S_ISDIR(found.st_mode):
                return f"folder {mode}"
            if not stat.S_ISREG(found.st_mode):
                return "special"
            with open(self._at(path), "rb") as file:  # noqa: PTH123 (see _at)
                if found.st_size <= _MAX_POINTER and (pointer := _pointer(file.read())):
                    self._placeholders[path] = pointer
                file.seek(0)
                return f"file {mode} sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        except OSError as error:
            raise unreadable(path, error) from error

    def _scan(self, folder: str) -> Mapping[str, Kind]:
        try:
            with os.scandir(self._at(folder)) as entries:
                found = {entry.name: _kind(entry) for entry in entries}
        except OSError:
            return {}
        # BuildKit takes every file of a context. Those of a killed run are no input, so they have to go.
        for name in filter(files.is_temporary, [name for name in found if name[0] == "."]):
            if files.discard(self._at(within(folder, name))):
                del found[name]
        return found

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"  # str: creating thousands of Path objects is slow


def _pointer(content: bytes) -> str:
    """Describe the file that git-lfs or git-annex checks out without the content; "" for another file."""
    if content.startswith(_LFS_VERSIONS) and b"\noid sha256:" in content:
        return "a git-lfs pointer; run `git lfs pull`"
    if content.startswith(b"/annex/objects/"):
        return "a git-annex pointer; run `git annex get`"
    return ""


def _kind(entry: os.DirEntry[str]) -> Kind:
    if entry.is_symlink():
        return Kind.LINK
    if entry.is_dir(follow_symlinks=False):
        return Kind.FOLDER
    return Kind.FILE if entry.is_file(follow_symlinks=False) else Kind.SPECIAL


def unreadable(path: str, error: OSError) -> ExternalError:
    """Return the error for a path that cannot be read."""
    return ExternalError(Problem(Place(printable_path(path)), f"cannot be read: {error.strerror}"))


class Overlaid:
    """A tree in which some files have other texts, for example Dockerfiles that are not written yet."""

    def __init__(self, tree: FileTree, texts: Mapping[str, str]) -> None:
        """Overlay texts, by path, on a tree."""
        self._tree = tree
        self._texts = {path: text.encode("utf-8", "surrogateescape") for path, text in texts.items()}
        listed = Listing()
        for path in texts:
            listed.add(path, Kind.FILE)
        self._over = listed

    def entries(self, folder: str) -> Mapping[str, Kind]:
        """List a folder of the tree with the overlaid files."""
        below = self._tree.entries(folder)
        over = self._over.entries(folder)
        return {**below, **over} if over else below

    def target(self, path: str) -> str:
        """Return the target of a link."""
        return self._tree.target(path)

    def read(self, path: str) -> bytes | None:
        """Return the overlaid text of a file, or its content."""
        return self._texts[path] if path in self._texts else self._tree.read(path)

    def fingerprints(self, paths: Iterable[str]) -> dict[str, str]:
        """Return fingerprints; a file that does not exist yet has the mode 644."""
        wanted = list(paths)
        existing = {path for path in wanted if kind_of(self._tree, path)}
        found = self._tree.fingerprints(path for path in wanted if path in existing)
        for path in wanted:
            if path in self._texts:
                mode = found[path].split()[1] if found.get(path, "").startswith("file ") else "644"
                found[path] = f"file {mode} sha256:{hashlib.sha256(self._texts[path]).hexdigest()}"
            elif path not in existing:
                found[path] = FOLDER_FINGERPRINT
        return {path: found[path] for path in wanted}

    def placeholders(self, paths: Iterable[str]) -> dict[str, str]:
        """Return the placeholders of the tree; without the overlaid files."""
        return self._tree.placeholders(path for path in paths if path not in self._texts)


class Listing:
    """The entries of all folders, computed from the paths of files; git does not record empty folders."""

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, Kind]] = {}

    def add(self, path: str, kind: Kind) -> None:
        """Add a path, and the folders above it."""
        while path:
            folder, _, name = path.rpartition("/")
            known = self._folders.setdefault(folder, {})
            if name in known and kind is Kind.FOLDER:
                return
            known[name] = kind
            path, kind = folder, Kind.FOLDER

    def entries(self, folder: str) -> Mapping[str, Kind]:
        """List a folder."""
        return self._folders.get(folder, {})


def text_of(content: bytes) -> str:
    """Decode a file; bytes that are not UTF-8 become U+FFFD."""
    return content.decode("utf-8", errors="replace")


def printable_path(path: str) -> str:
    """Return a path that can be printed: bytes that are not UTF-8 become U+FFFD."""
    return path if path.isascii() else text_of(os.fsencode(path))
