"""The states that a review compares: a folder, or a revision that is read into one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from dfgen.cli.app import App
from dfgen.model import lock as locks
from dfgen.model.catalog import BASES, TEMPLATES
from dfgen.model.load import CATALOG_FILE
from dfgen.model.lock import LOCK_FILE, Lock
from dfgen.outside import files
from dfgen.outside.git import Git
from dfgen.reviewing.records import State
from dfgen.values.errors import InputError, Place, Problem


def read(app: App) -> State:
    """Read the state of an app's folder; what is wrong with it becomes the state's problems."""
    if not (app.root / BASES).is_dir():
        return State(problems=(Problem(Place(f"{BASES}/"), "there is no catalog"),))
    catalog, contexts = None, {BASES}
    problems: list[Problem] = []
    lock = Lock()
    try:
        catalog = app.catalog
        contexts |= {str(family.context) for family in catalog.families.values()}
    except InputError as error:
        problems.extend(error.problems)
    try:
        lock = locks.read(app.root)
    except InputError as error:
        problems.extend(error.problems)
    return State(
        catalog=catalog,
        lock=lock,
        lock_text=_text(app.root / LOCK_FILE),
        dockerfiles=files.dockerfiles(app.root),
        templates={name: _text(path) for name, path in _below(app.root / TEMPLATES, app.root / TEMPLATES)},
        files={
            name: _print(path)
            for part in sorted(contexts)
            for name, path in _context(app.root / part, app.root)
        },
        problems=tuple(dict.fromkeys(problems)),
    )


def place(app: App, word: str, folder: Path) -> App:
    """Give the app of a folder that holds a catalog, or of a revision, which is read into `folder`."""
    named = Path(word)
    if word and (named / BASES).is_dir():
        return App(root=named, output=app.output)
    git = Git(app.root)
    git.extract(git.commit(word) if word else git.base(), _parts(app), folder)
    return App(root=folder, output=app.output)


def _parts(app: App) -> list[str]:
    """The folders that matter, below the catalog's: its own two, and build contexts elsewhere."""
    parts = {BASES, TEMPLATES}
    if app.has_catalog:
        parts |= {str(family.context) for family in app.catalog.families.values()}
    return sorted(parts)


def _context(folder: Path, root: Path) -> Iterator[tuple[str, Path]]:
    own = {CATALOG_FILE, LOCK_FILE}
    for name, path in _below(folder, root):
        if name not in own and path.name != "base.yaml" and not path.name.startswith("Dockerfile_"):
            yield name, path


def _below(folder: Path, root: Path) -> Iterator[tuple[str, Path]]:
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != ".git")
        for name in sorted(names):
            path = Path(at, name)
            yield path.relative_to(root).as_posix(), path


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _print(path: Path) -> str:
    """What changes when a file's content or mode does."""
    if path.is_symlink():
        return f"link {path.readlink()}"
    if not path.is_file():
        return "no file"
    return f"{path.stat().st_mode & 0o111 != 0} {sha256(path.read_bytes()).hexdigest()}"
