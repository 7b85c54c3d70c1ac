"""The states that a review compares: a folder that holds a catalog, or a revision."""

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

_SETTING = re.compile(rf"{BASES}(/[^/]+(/base\.yaml)?)?")  # a link in the place of a folder counts
_BESIDE = r"\.(?:dockerignore|rego)"  # files beside a Dockerfile, which BuildKit reads with it
_DOCKERFILE = re.compile(rf"{BASES}/[^/]+/[^/]+/Dockerfile_(?![^/]*{_BESIDE}$)[^/]+")
_OWN = re.compile(rf"(?:.*/)?(?:Dockerfile_(?![^/]*{_BESIDE}$)[^/]*|base\.yaml)")
_STRAY = "is a link out of the catalog's folder, which a review does not follow; put the file itself there"


class Tree(FileTree, Protocol):
    """The files of a state; see `dfgen.filetree`. `submodules` are the paths of those that were listed."""

    submodules: set[str]

    def paths(self, parts: Sequence[str]) -> list[str]:
        """List the files below some folders."""

    def is_external_link(self, path: str) -> bool:
        """Whether a file is a link that is not followed."""

    def texts(self, paths: Sequence[str]) -> dict[str, str]:
        """Read files, by path."""

    def load(self, paths: Iterable[str]) -> None:
        """Read files that will be asked for, in one go."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One state that was opened: its files, and the app of the folder where its catalog can be loaded."""

    app: Workspace
    tree: Tree

    @cached_property
    def paths(self) -> list[str]:
        """Its files below the two folders of a catalog."""
        return self.tree.paths([BASES, TEMPLATES])

    @cached_property
    def settings(self) -> dict[str, str]:
        """What its catalog is loaded from, beside the names of its templates."""
        paths = (path for path in self.paths if _SETTING.fullmatch(path) and path != LOCK_FILE)
        return self.tree.texts([*paths])

    @cached_property
    def lock_text(self) -> str:
        """Its lock as it stands, "" where there is none."""
        return self.tree.texts([LOCK_FILE]).get(LOCK_FILE, "") if LOCK_FILE in self.paths else ""

    @cached_property
    def templates(self) -> dict[str, str]:
        """Its templates, by the name that a family writes."""
        start = f"{TEMPLATES}/"
        found = self.tree.texts([path for path in self.paths if path.startswith(start)])
        return {path.removeprefix(start): text for path, text in found.items()}

    def strays(self) -> Iterator[Problem]:
        """The settings and Dockerfiles that are links which are not followed."""
        for path in self.paths:
            is_read = _SETTING.fullmatch(path) or _DOCKERFILE.fullmatch(path)
            if is_read and self.tree.is_external_link(path):
                yield Problem(Place(path), _STRAY)

    def context_files(self, parts: Sequence[str]) -> list[str]:
        """Its files in the catalog and in build contexts elsewhere, beside those of dfgen itself."""
        found = {path for path in self.paths if path.startswith(f"{BASES}/")}
        if parts:
            found |= {path for path in self.tree.paths(parts) if not path.startswith(f"{DIST}/")}
        found |= self.tree.submodules
        return sorted(path for path in found - {CATALOG_FILE, LOCK_FILE} if not _OWN.fullmatch(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """What a side's files say, as far as they can be read."""

    catalog: Catalog | None = None
    lock: Lock = field(default_factory=Lock)
    problems: tuple[Problem, ...] = ()


class Sides:
    """Opens the two states of a review and reads them; what both have is read once."""

    def __init__(self, app: Workspace, scratch: Path, words: tuple[str, str]) -> None:
        """Open BASE and AFTER as they were written, "" for what was not.

        Errors: InputError for what is neither a folder that holds a catalog nor a revision.
        """
        self._app, self._scratch = app, scratch
        base, after = words
        folders = [bool(word) and (Path(word) / BASES).is_dir() for word in words]
        self._git = Git(app.root) if not folders[0] or (after and not folders[1]) else None
        self._seen = ContentCache(self._git)
        self.before = self._folder(Path(base)) if folders[0] else self._revision(base, "before")
        if not after:
            self.after = Side(app=app, tree=Checkout(app.root, self._seen, self._git))
        else:
            self.after = self._folder(Path(after)) if folders[1] else self._revision(after, "after")

    def _folder(self, root: Path) -> Side:
        git = _repository(root) if self._git else None  # a revision has nothing that git ignores
        return Side(app=Workspace(root), tree=Checkout(root, self._seen, git))

    def _revision(self, word: str, name: str) -> Side:
        git = self._git or Git(self._app.root)
        tree = Revision(git, git.commit(word) if word else git.base(), self._seen)
        side = Side(app=Workspace(self._scratch / name), tree=tree)
        start = f"{TEMPLATES}/"
        tree.write(
            [path for path in side.paths if _SETTING.fullmatch(path) or path.startswith(start)], side.app.root
        )
        return side

    def read(self) -> tuple[State, State]:
        """Read both; what is wrong with one becomes the state's problems."""
        now = _load(self.after)
        then = _load(self.before, (self.after, now))
        catalogs = [one.catalog for one in (then, now) if one.catalog]
        contexts = {str(family.context) for one in catalogs for family in one.families.values()}
        parts = sorted(part for part in contexts if not part.startswith(f"{BASES}/"))
        after = _state(self.after, now, parts)  # first: what it has is not read from git
        return _state(self.before, then, parts), after


def _repository(folder: Path) -> Git | None:
    try:
        return Git(folder)
    except InputError:
        return None


def _load(side: Side, known: tuple[Side, _Loaded] | None = None) -> _Loaded:
    """Load what a side's files say; what is the same in a `known` one is not loaded again."""
    if not any(path.startswith(f"{BASES}/") for path in side.paths):
        return _Loaded(problems=(Problem(Place(f"{BASES}/"), "there is no catalog"),))
    if strays := tuple(side.strays()):
        return _Loaded(problems=strays)
    catalog, lock = None, Lock()
    problems: list[Problem] = []
    try:
        same = known[1].catalog if known and _is_same(known[0], side) else None
        catalog = same or side.app.catalog
    except InputError as error:
        problems.extend(error.problems)
    try:
        lock = known[1].lock if known and known[0].lock_text == side.lock_text else side.app.lock
    except InputError as error:
        problems.extend(error.problems)
    return _Loaded(catalog=catalog, lock=lock, problems=tuple(dict.fromkeys(problems)))


def _is_same(one: Side, other: Side) -> bool:
    """Whether both give the same catalog: loading one looks at nothing else. `one` is read first."""
    return one.settings == other.settings and one.templates.keys() == other.templates.keys()


def _state(side: Side, loaded: _Loaded, parts: Sequence[str]) -> State:
    dockerfiles = side.tree.texts([path for path in side.paths if _DOCKERFILE.fullmatch(path)])
    files = side.tree.fingerprints(side.context_files(parts))
    side.tree.load(path for path in files if path.endswith(".dockerignore"))
    versions = loaded.catalog.versions if loaded.catalog else {}
    return State(
        catalog=loaded.catalog,
        lock=loaded.lock,
        lock_text=side.lock_text,
        dockerfiles=dockerfiles,
        templates=side.templates,
        settings=side.settings,
        files={printable_path(path): text for path, text in files.items()},
        context=ContextReader(side.tree, versions, dockerfiles),
        problems=loaded.problems,
    )
