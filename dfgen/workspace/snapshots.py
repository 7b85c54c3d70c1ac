"""The two states that a review compares: each a folder with a catalog, or a git revision."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from dfgen.catalog.context import ContextReader
from dfgen.catalog.lockfile import LOCK_FILE, Lock
from dfgen.catalog.model import BASES, CATALOG_FILE, TEMPLATES, Catalog
from dfgen.commands.review.records import State
from dfgen.errors import InputError, Place, Problem
from dfgen.filetree import FileTree, printable_path
from dfgen.filetree.git import Git
from dfgen.filetree.revision import Checkout, ContentCache, Revision
from dfgen.workspace import DIST, Workspace

_SETTING = re.compile(rf"{BASES}(/[^/]+(/base\.yaml)?)?")  # a link instead of a folder matches, too
_BESIDE = r"\.(?:dockerignore|rego)"  # files that BuildKit reads together with a Dockerfile
_DOCKERFILE = re.compile(rf"{BASES}/[^/]+/[^/]+/Dockerfile_(?![^/]*{_BESIDE}$)[^/]+")
_PACKAGES = re.compile(rf"{BASES}/[^/]+/[^/]+/packages_[^/]+\.lock")
_OWN = re.compile(rf"(?:.*/)?(?:Dockerfile_(?![^/]*{_BESIDE}$)[^/]*|base\.yaml)")
# A reviewed change may come from anybody: a link must not make the review print other files of the machine.
_STRAY = "is a link to a file outside of the catalog's folder; replace it with the file"


class Tree(FileTree, Protocol):
    """The files of a state; see `dfgen.filetree`. `submodules` are the paths of the listed submodules."""

    submodules: set[str]

    def paths(self, parts: Sequence[str]) -> list[str]:
        """Return the paths of all files below these folders."""

    def is_external_link(self, path: str) -> bool:
        """Return whether a file is a link that is not followed."""

    def texts(self, paths: Sequence[str]) -> dict[str, str]:
        """Read files; returns their texts by path."""

    def load(self, paths: Iterable[str]) -> None:
        """Read and cache files in one go."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One state: its files, and the workspace of a folder from which its catalog can be loaded."""

    workspace: Workspace
    tree: Tree

    @cached_property
    def paths(self) -> list[str]:
        """The paths of its files in `bases/` and `templates/`."""
        return self.tree.paths([BASES, TEMPLATES])

    @cached_property
    def settings(self) -> dict[str, str]:
        """The texts from which its catalog is loaded; loading also uses the names of the templates."""
        paths = (path for path in self.paths if _SETTING.fullmatch(path) and path != LOCK_FILE)
        return self.tree.texts([*paths])

    @cached_property
    def lock_text(self) -> str:
        """The text of its lock file; "" if the file is missing."""
        return self.tree.texts([LOCK_FILE]).get(LOCK_FILE, "") if LOCK_FILE in self.paths else ""

    @cached_property
    def templates(self) -> dict[str, str]:
        """The texts of its templates, by the name that a family uses."""
        start = f"{TEMPLATES}/"
        found = self.tree.texts([path for path in self.paths if path.startswith(start)])
        return {path.removeprefix(start): text for path, text in found.items()}

    def strays(self) -> Iterator[Problem]:
        """Report settings, Dockerfiles and locks that are links to files outside of the catalog's folder."""
        for path in self.paths:
            is_read = _SETTING.fullmatch(path) or _DOCKERFILE.fullmatch(path) or _PACKAGES.fullmatch(path)
            if is_read and self.tree.is_external_link(path):
                yield Problem(Place(path), _STRAY)

    def context_files(self, parts: Sequence[str]) -> list[str]:
        """Return its files in the catalog and in these folders, apart from dfgen's own files."""
        found = {path for path in self.paths if path.startswith(f"{BASES}/")}
        if parts:
            found |= {path for path in self.tree.paths(parts) if not path.startswith(f"{DIST}/")}
        found |= self.tree.submodules
        return sorted(path for path in found - {CATALOG_FILE, LOCK_FILE} if not _OWN.fullmatch(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """The catalog and lock of a snapshot, as far as they can be loaded."""

    catalog: Catalog | None = None
    lock: Lock = field(default_factory=Lock)
    problems: tuple[Problem, ...] = ()


class Snapshots:
    """Opens and reads the two states of a review; content that both share is read once."""

    def __init__(self, workspace: Workspace, scratch: Path, words: tuple[str, str]) -> None:
        """Open BASE and AFTER, as written on the command line; "" is the default.

        The settings and templates of a revision are written to the folder `scratch`. Raises InputError if one
        is neither a folder with a catalog nor a revision.
        """
        self._workspace, self._scratch = workspace, scratch
        base, after = words
        folders = [bool(word) and (Path(word) / BASES).is_dir() for word in words]
        self._git = Git(workspace.root) if not folders[0] or (after and not folders[1]) else None
        self._seen = ContentCache(self._git)
        self.before = self._folder(Path(base)) if folders[0] else self._revision(base, "before")
        if not after:
            self.after = Snapshot(workspace=workspace, tree=Checkout(workspace.root, self._seen, self._git))
        else:
            self.after = self._folder(Path(after)) if folders[1] else self._revision(after, "after")

    def _folder(self, root: Path) -> Snapshot:
        # A revision has no ignored files, so they must not count in a folder that is compared with one.
        git = _repository(root) if self._git else None
        return Snapshot(workspace=Workspace(root), tree=Checkout(root, self._seen, git))

    def _revision(self, word: str, name: str) -> Snapshot:
        git = self._git or Git(self._workspace.root)
        tree = Revision(git, git.commit(word) if word else git.base(), self._seen)
        snapshot = Snapshot(workspace=Workspace(self._scratch / name), tree=tree)
        start = f"{TEMPLATES}/"
        tree.write(
            [path for path in snapshot.paths if _SETTING.fullmatch(path) or path.startswith(start)],
            snapshot.workspace.root,
        )
        return snapshot

    def read(self) -> tuple[State, State]:
        """Read both; errors become the problems of a state."""
        now = _load(self.after)
        then = _load(self.before, (self.after, now))
        catalogs = [one.catalog for one in (then, now) if one.catalog]
        contexts = {str(family.context) for one in catalogs for family in one.families.values()}
        parts = sorted(part for part in contexts if not part.startswith(f"{BASES}/"))
        after = _state(self.after, now, parts)  # first, so that unchanged files need not be read from git
        return _state(self.before, then, parts), after


def _repository(folder: Path) -> Git | None:
    try:
        return Git(folder)
    except InputError:
        return None


def _load(snapshot: Snapshot, other: tuple[Snapshot, _Loaded] | None = None) -> _Loaded:
    """Load catalog and lock; those of `other` are reused if they are equal."""
    if not any(path.startswith(f"{BASES}/") for path in snapshot.paths):
        return _Loaded(problems=(Problem(Place(f"{BASES}/"), "no catalog found"),))
    if strays := tuple(snapshot.strays()):
        return _Loaded(problems=strays)
    catalog, lock = None, Lock()
    problems: list[Problem] = []
    try:
        same = other[1].catalog if other and _is_same(other[0], snapshot) else None
        catalog = same or snapshot.workspace.catalog
    except InputError as error:
        problems.extend(error.problems)
    try:
        lock = (
            other[1].lock if other and other[0].lock_text == snapshot.lock_text else snapshot.workspace.lock
        )
    except InputError as error:
        problems.extend(error.problems)
    return _Loaded(catalog=catalog, lock=lock, problems=tuple(dict.fromkeys(problems)))


def _is_same(one: Snapshot, other: Snapshot) -> bool:
    """Return whether both have the same catalog; loading depends only on the values compared here."""
    # `one` first: content that it has need not be read from git for `other`.
    return one.settings == other.settings and one.templates.keys() == other.templates.keys()


def _state(snapshot: Snapshot, loaded: _Loaded, parts: Sequence[str]) -> State:
    dockerfiles = snapshot.tree.texts([path for path in snapshot.paths if _DOCKERFILE.fullmatch(path)])
    packages = snapshot.tree.texts([path for path in snapshot.paths if _PACKAGES.fullmatch(path)])
    files = snapshot.tree.fingerprints(snapshot.context_files(parts))
    snapshot.tree.load(path for path in files if path.endswith(".dockerignore"))
    versions = loaded.catalog.versions if loaded.catalog else {}
    return State(
        catalog=loaded.catalog,
        lock=loaded.lock,
        lock_text=snapshot.lock_text,
        dockerfiles=dockerfiles,
        package_locks=packages,
        templates=snapshot.templates,
        settings=snapshot.settings,
        files={printable_path(path): text for path, text in files.items()},
        context=ContextReader(snapshot.tree, versions, dockerfiles, upstream=loaded.lock.triggers),
        problems=loaded.problems,
    )
