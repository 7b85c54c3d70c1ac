"""Trees of files, read alike from a folder on disk and from a revision of a git repository.

Paths are relative to the root of the tree, with `/`; "" is the root. No link is followed unless the caller
asks for it with `resolve`, and never out of the tree.
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Protocol

from dfgen.errors import ExternalError, Place, Problem
from dfgen.filetree.git import Entry, Git

# What git-lfs keeps in the place of a large file, which has the digest of that file.
_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n")
_POINTER_SIZE = 1024  # bytes at most
_STEPS = 8  # from link to link, of a file that a person named
_LINKS = 255  # from link to link in a path, as for BuildKit
_FOLDER = "folder 755"  # a commit keeps no mode of a folder


class Kind(StrEnum):
    """What an entry of a folder is. Nothing below a submodule is listed."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    SUBMODULE = "submodule"
    SPECIAL = "special"  # a device, a pipe or a socket


class FileTree(Protocol):
    """The files below a root."""

    def entries(self, folder: str) -> Mapping[str, Kind]:
        """List a folder: the kind of each entry, by name. Empty for a path that is not a folder."""

    def target(self, path: str) -> str:
        """Return where a link points to, as it is written."""

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None if the path is not a file."""

    def prints(self, paths: Iterable[str]) -> dict[str, str]:
        """Describe what of each path decides about an image: `file 644 sha256:…`, `folder 755`, `link ../x`.

        A print contains kind, mode and content, but no time and no owner.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Where a path leads: `path` is "" for the root, and None after too many links.

    `links` are the links on the way. `left` if one of them points out of the root. A path that leads into a
    submodule is the submodule's own.
    """

    path: str | None
    links: tuple[str, ...] = ()
    left: bool = False


def resolve(
    entries: Callable[[str], Mapping[str, Kind]], target: Callable[[str], str], path: str
) -> Resolved:
    """Follow the links of a path as if the root were the root of the disk, as BuildKit does.

    A link that climbs over the root ends at the root; a target is cleaned before it is followed.
    """
    links: list[str] = []
    left = False
    rest = _parts(path)
    done: list[str] = []
    while rest:
        part = rest.pop(0)
        here = "/".join((*done, part))
        kind = entries("/".join(done)).get(part)
        if kind is Kind.SUBMODULE:
            return Resolved(path=here, links=tuple(links), left=left)
        if kind is not Kind.LINK:
            done.append(part)
            continue
        if len(links) == _LINKS:
            return Resolved(path=None, links=tuple(links), left=left)
        links.append(here)
        leads = target(here)
        left = left or leads.startswith("/") or posixpath.normpath("/".join((*done, leads))).startswith("..")
        above = [] if leads.startswith("/") else done
        rest, done = _parts("/".join((*above, leads, *rest))), []
    return Resolved(path="/".join(done), links=tuple(links), left=left)


def _parts(path: str) -> list[str]:
    return [part for part in posixpath.normpath(f"/{path}").split("/") if part]


def within(folder: str, name: str) -> str:
    """Join the path of a folder and the name of an entry."""
    return f"{folder}/{name}" if folder else name


def kind_of(tree: FileTree, path: str) -> Kind | None:
    """Return the kind of one path; None if there is nothing."""
    folder, _, name = path.rpartition("/")
    return tree.entries(folder).get(name) if path else Kind.FOLDER


class Folder:
    """A folder on disk with everything in it, as a build sends it to BuildKit."""

    def __init__(self, root: Path) -> None:
        """Take the folder. What was read stays known: a tree is a snapshot."""
        self._root = root
        self._entries: dict[str, Mapping[str, Kind]] = {}
        self._printed: dict[str, str] = {}

    def entries(self, folder: str) -> Mapping[str, Kind]:
        """List a folder; a folder that cannot be read counts as empty."""
        if folder not in self._entries:
            self._entries[folder] = self._scan(folder)
        return self._entries[folder]

    def target(self, path: str) -> str:
        """Return where a link points to."""
        return os.readlink(self._at(path))  # noqa: PTH115 (see _at)

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None for a link. Raises ExternalError if it cannot be read."""
        try:
            handle = os.open(self._at(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(handle, "rb", buffering=0) as file:  # noqa: PTH123 (a descriptor)
                return file.readall()
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return None
            raise _unreadable(path, error) from error

    def prints(self, paths: Iterable[str]) -> dict[str, str]:
        """Describe each path, with all bits of its mode. Raises ExternalError for an unreadable file."""
        found = {}
        for path in paths:
            if path not in self._printed:
                self._printed[path] = self._print(path)
            found[path] = self._printed[path]
        return found

    def _print(self, path: str) -> str:
        try:
            found = os.lstat(self._at(path))
            if stat.S_ISLNK(found.st_mode):
                return f"link {self.target(path)}"
            mode = f"{stat.S_IMODE(found.st_mode):o}"
            if stat.S_ISDIR(found.st_mode):
                return f"folder {mode}"
            if not stat.S_ISREG(found.st_mode):
                return "special"
            with open(self._at(path), "rb") as file:  # noqa: PTH123 (see _at)
                return f"file {mode} sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        except OSError as error:
            raise _unreadable(path, error) from error

    def _scan(self, folder: str) -> Mapping[str, Kind]:
        try:
            with os.scandir(self._at(folder)) as entries:
                return {entry.name: _kind(entry) for entry in entries}
        except OSError:
            return {}

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"  # text: a Path for each of thousands takes its time


def _kind(entry: os.DirEntry[str]) -> Kind:
    if entry.is_symlink():
        return Kind.LINK
    if entry.is_dir(follow_symlinks=False):
        return Kind.FOLDER
    return Kind.FILE if entry.is_file(follow_symlinks=False) else Kind.SPECIAL


def _unreadable(path: str, error: OSError) -> ExternalError:
    return ExternalError(Problem(Place(shown(path)), f"cannot be read: {error.strerror}"))


class Overlaid:
    """A tree in which some files have other texts, for example Dockerfiles that are still to be written."""

    def __init__(self, tree: FileTree, texts: Mapping[str, str]) -> None:
        """Take the tree below and texts by path."""
        self._tree = tree
        self._texts = {path: text.encode("utf-8", "surrogateescape") for path, text in texts.items()}
        listed = _Listed()
        for path in texts:
            listed.add(path, Kind.FILE)
        self._over = listed

    def entries(self, folder: str) -> Mapping[str, Kind]:
        """List a folder of the tree below, with what lies over it."""
        below = self._tree.entries(folder)
        over = self._over.entries(folder)
        return {**below, **over} if over else below

    def target(self, path: str) -> str:
        """Return where a link of the tree below points to."""
        return self._tree.target(path)

    def read(self, path: str) -> bytes | None:
        """Return the text that lies over a file, or else its content."""
        return self._texts[path] if path in self._texts else self._tree.read(path)

    def prints(self, paths: Iterable[str]) -> dict[str, str]:
        """Describe paths; a file that does not exist yet has the mode that files mostly have."""
        wanted = list(paths)
        there = {path for path in wanted if kind_of(self._tree, path)}
        found = self._tree.prints(path for path in wanted if path in there)
        for path in wanted:
            if path in self._texts:
                mode = found[path].split()[1] if found.get(path, "").startswith("file ") else "644"
                found[path] = f"file {mode} sha256:{hashlib.sha256(self._texts[path]).hexdigest()}"
            elif path not in there:
                found[path] = _FOLDER
        return {path: found[path] for path in wanted}


class _Listed:
    """The entries of all folders, from the paths of files alone, as a commit has them."""

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


class Seen:
    """Cache of what was read of two states, by git's name of the content: what both have is read once."""

    def __init__(self, git: Git | None = None) -> None:
        """Take the repository, None where both states are folders."""
        self._algorithm = git.algorithm if git else "sha1"
        self.texts: dict[str, str] = {}
        self.digests: dict[str, str] = {}

    def name(self, content: bytes) -> str:
        """Name a content as git does."""
        head = f"blob {len(content)}\0".encode()
        return hashlib.new(self._algorithm, head + content, usedforsecurity=False).hexdigest()


class Checkout:
    """A folder on disk as a commit would hold it.

    Files that git ignores are left out, a file is executable or not, lines end as in a commit, and a large
    file counts as its git-lfs pointer does. So it compares with a revision, whatever umask and attributes
    checked it out.
    """

    def __init__(self, root: Path, seen: Seen, git: Git | None = None) -> None:
        """Take the folder's repository, None where all that lies in the folder counts."""
        self._root, self._seen, self._git = root, seen, git
        self.submodules: set[str] = set()
        self._kinds: dict[str, Kind] = {}
        self._parts: set[str] = set()
        self._printed: dict[str, str] = {}
        self._listed = _Listed()

    def paths(self, parts: Sequence[str]) -> list[str]:
        """List the files below some folders, links too, but none that git ignores or of a submodule."""
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
        """List a folder; one that holds no file that a commit could hold is empty."""
        if not _covered(folder, self._parts):
            self.paths([folder or "."])
        return self._listed.entries(folder)

    def target(self, path: str) -> str:
        """Return where a link points to."""
        return os.readlink(self._at(path))  # noqa: PTH115 (see _at)

    def read(self, path: str) -> bytes | None:
        """Return a file's content as a commit would hold it; None for a link."""
        content = self._read(path) if self._kinds.get(path) is Kind.FILE else None
        return None if content is None else self._committed(path, content)

    def is_stray(self, path: str) -> bool:
        """Whether a path is a link that leads out of the folder, or to what git keeps in it."""
        if self._kinds.get(path) is not Kind.LINK:
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
                found[shown(path)] = self._seen.texts[name]
        return found

    def load(self, paths: Iterable[str]) -> None:
        """Do nothing: reading files one by one costs no more."""

    def prints(self, paths: Iterable[str]) -> dict[str, str]:
        """Describe each path as a commit would hold it."""
        found = {}
        for path in paths:
            if path not in self._printed:
                self._printed[path] = self._print(path)
            found[path] = self._printed[path]
        return found

    def _print(self, path: str) -> str:
        kind = self._kinds.get(path, Kind.FOLDER)
        if kind is Kind.FOLDER:
            return _FOLDER
        if kind is Kind.LINK:
            return f"link {shown(self.target(path))}"
        if kind is Kind.SUBMODULE:
            return f"submodule {self._submodule(path)}"
        content = self._read(path)
        if content is None:
            return "no file"
        name = self._seen.name(content)
        if name not in self._seen.digests:
            self._seen.digests[name] = _digest(self._committed(path, content))
        return _file(self._seen.digests[name], is_program=self._is_program(path))

    def _is_program(self, path: str) -> bool:
        return os.stat(self._at(path)).st_mode & stat.S_IXUSR != 0  # noqa: PTH116 (see _at)

    def _read(self, path: str) -> bytes | None:
        try:
            return Path(self._at(path)).read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(path, error) from error

    def _committed(self, path: str, content: bytes) -> bytes:
        """Undo what git does to the lines of a text when it checks it out."""
        if b"\r\n" in content and b"\0" not in content and path in self._converted:
            return content.replace(b"\r\n", b"\n")
        return content

    @cached_property
    def _converted(self) -> frozenset[str]:
        return self._git.converted(sorted(self._parts)) if self._git else frozenset()

    def _kind(self, path: str) -> Kind | None:
        """Return what a commit makes of a listed path; None for what it cannot hold."""
        try:
            mode = os.lstat(self._at(path)).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISDIR(mode):  # a submodule, another repository, or a folder in the place of a file
            return Kind.SUBMODULE if self._submodule(path) else None
        return _COMMITTED.get(stat.S_IFMT(mode))

    def _submodule(self, path: str) -> str:
        return self._git.submodule(path) if self._git else ""

    def _walk(self, part: str) -> Iterator[str]:
        for at, folders, names in os.walk(self._at(part)):
            folders[:] = [name for name in folders if name != ".git"]
            links = [name for name in folders if os.path.islink(f"{at}/{name}")]  # noqa: PTH114 (see _at)
            # A link to a folder is among the folders, and os.walk does not follow it.
            yield from (os.path.relpath(f"{at}/{name}", self._root) for name in (*names, *links))

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"  # text: a Path for each of thousands takes its time


_COMMITTED = {stat.S_IFREG: Kind.FILE, stat.S_IFLNK: Kind.LINK}


class Revision:
    """What a commit holds below the folder that `git` was made for."""

    def __init__(self, git: Git, commit: str, seen: Seen) -> None:
        """Take the repository and the commit; what was listed stays known."""
        self._git, self._commit, self._seen = git, commit, seen
        self.submodules: set[str] = set()
        self._entries: dict[str, Entry] = {}
        self._contents: dict[str, bytes] = {}
        self._parts: set[str] = set()
        self._listed = _Listed()

    def paths(self, parts: Sequence[str]) -> list[str]:
        """List the files below some folders, links included; none of a submodule."""
        self._parts |= {*parts}
        found = self._git.entries(self._commit, parts)
        self._entries |= found
        for path, entry in found.items():
            self._listed.add(path, _kind_of_entry(entry))
        links = {path: entry.blob for path, entry in found.items() if entry.is_link}
        self._read(self._seen.texts, links.values())
        self.submodules |= {path for path, entry in found.items() if entry.is_submodule}
        return sorted(found.keys() - self.submodules)

    def entries(self, folder: str) -> Mapping[str, Kind]:
        """List a folder."""
        if not _covered(folder, self._parts):
            self.paths([folder or "."])
        return self._listed.entries(folder)

    def target(self, path: str) -> str:
        """Return where a link points to."""
        return self._seen.texts[self._entries[path].blob]

    def load(self, paths: Iterable[str]) -> None:
        """Read the content of many files at once, for `read`: one call of git instead of one for each."""
        entries = (self._entries[path] for path in paths if path in self._entries)
        blobs = {one.blob for one in entries if one.is_file and one.blob not in self._contents}
        self._contents.update(self._git.contents(blobs))

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None for a link."""
        self.load([path])
        entry = self._entries.get(path)
        return self._contents[entry.blob] if entry and entry.is_file else None

    def is_stray(self, path: str) -> bool:
        """Whether a path is a link to what the commit does not hold, as far as it is listed."""
        return self._followed(path) is None

    def texts(self, paths: Iterable[str]) -> dict[str, str]:
        """Read files. A byte that is not UTF-8 becomes U+FFFD."""
        found = {path: entry.blob for path in paths if (entry := self._followed(path))}
        self._read(self._seen.texts, found.values())
        return {shown(path): self._seen.texts[blob] for path, blob in found.items()}

    def prints(self, paths: Iterable[str]) -> dict[str, str]:
        """Describe each path; contents that are not known yet are read in one call of git."""
        entries = {path: self._entries.get(path) for path in paths}
        missing = (
            one.blob for one in entries.values() if one and one.is_file and one.blob not in self._seen.digests
        )
        for name, content in self._git.contents(missing):
            self._seen.digests[name] = _digest(content)
        return {path: self._print(entry) for path, entry in entries.items()}

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

    def _print(self, entry: Entry | None) -> str:
        if entry is None:
            return _FOLDER
        if entry.is_link:
            return f"link {self._seen.texts[entry.blob]}"
        if entry.is_submodule:
            return f"submodule {entry.blob}"
        return _file(self._seen.digests[entry.blob], is_program=entry.is_program)

    def _read(self, known: dict[str, str], blobs: Iterable[str]) -> None:
        for name, content in self._git.contents(blob for blob in blobs if blob not in known):
            known[name] = _text(content)

    def _followed(self, path: str) -> Entry | None:
        """Find the file itself, whatever links lead to it within what is listed."""
        for _ in range(_STEPS):
            entry = self._entries.get(path)
            if entry is None or entry.is_file:
                return entry
            if entry.is_submodule:
                return None
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), self._seen.texts[entry.blob]))
        return None


def _kind_of_entry(entry: Entry) -> Kind:
    if entry.is_link:
        return Kind.LINK
    return Kind.SUBMODULE if entry.is_submodule else Kind.FILE


def _covered(folder: str, parts: Iterable[str]) -> bool:
    """Whether a folder is one of some that were listed, or below one, or above one."""
    return any(
        part == "." or f"{folder}/".startswith(f"{part}/") or f"{part}/".startswith(f"{folder}/")
        for part in parts
    )


def _file(digest: str, *, is_program: bool) -> str:
    return f"file {'755' if is_program else '644'} sha256:{digest}"


def _digest(content: bytes) -> str:
    pointer = _POINTER.match(content) if len(content) <= _POINTER_SIZE else None
    return pointer[1].decode() if pointer else hashlib.sha256(content).hexdigest()


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="replace")


def shown(path: str) -> str:
    """Return a name that can be printed: a byte that is not UTF-8 becomes U+FFFD."""
    return path if path.isascii() else _text(os.fsencode(path))
