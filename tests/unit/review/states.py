"""Reads states from folders, and formats reviews for comparison."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from dfgen.catalog import load
from dfgen.catalog import lockfile as lock
from dfgen.catalog.context import ContextReader
from dfgen.catalog.model import Catalog, Image
from dfgen.commands.explain import template_lines
from dfgen.commands.render import TemplatesFor, render
from dfgen.commands.review import review
from dfgen.commands.review.records import Review, Sources, State
from dfgen.errors import InputError, Place, Problem
from dfgen.filetree import Folder
from dfgen.findings import Finding
from dfgen.templating import Templates

_NAMES = {"impact": "radius"}  # fields with another name in the golden files, as in dfgen's own JSON


def texts(root: Path, pattern: str, below: str = "") -> dict[str, str]:
    """Read the files that match a pattern; returns texts by their path relative to `below`."""
    files = (path for path in sorted(root.glob(pattern)) if path.is_file())
    return {str(path.relative_to(root / below)): path.read_text(encoding="utf-8") for path in files}


def state(root: Path) -> State:
    """Read one side of a review; the context files are those in `bases/*/files`."""
    problems: tuple[Problem, ...] = ()
    catalog = None
    try:
        catalog = load.load(root, Templates(root / "templates", "templates"))
    except InputError as error:
        problems = error.problems
    return State(
        catalog=catalog,
        lock=lock.read(root),
        lock_text=(root / lock.LOCK_FILE).read_text(encoding="utf-8"),
        dockerfiles=texts(root, "bases/*/*/Dockerfile_*"),
        package_locks=texts(root, "bases/*/*/packages_*.lock"),
        templates=texts(root, "templates/**/*", "templates"),
        settings=texts(root, "bases/catalog.yaml") | texts(root, "bases/*/base.yaml"),
        files={path: sha256(text.encode()).hexdigest() for path, text in _context(root).items()},
        context=ContextReader(Folder(root), catalog.versions if catalog else {}),
        problems=problems,
    )


def _context(root: Path) -> dict[str, str]:
    return texts(root, "bases/*/files/**/*") | texts(root, "bases/*/.dockerignore")


def folder(root: Path) -> TemplatesFor:
    """Return the templates of a folder, the same for every image."""
    templates = Templates(root / "templates", "templates")
    return lambda _: templates


def rendered(root: Path, of: State) -> dict[str, str]:
    """Render a state as `dfgen render` does."""
    assert isinstance(of.catalog, Catalog)
    done = render(of.catalog, of.catalog.images, of.lock, folder(root), {})
    return {file.path: file.new for file in done.files if file.new is not None}


def origins_of(root: Path, of: State) -> Callable[[Image], Sequence[Place | None]]:
    """Return a function that finds the template lines of an image, as `origins` of a review."""
    templates = folder(root)

    def origins(image: Image) -> Sequence[Place | None]:
        assert isinstance(of.catalog, Catalog)
        return template_lines(of.catalog, of.lock, templates, image)

    return origins


def reviewed(before: Path, after: Path, **more: Any) -> Review:
    """Review two folders, with rendering; `more` are further sources, by name."""
    old, new = state(before), state(after)
    sources = {"templates": folder(after), "origins": origins_of(after, new), **more}
    return review(old, new, Sources(**sources))


def lines(findings: Iterable[Finding]) -> list[str]:
    """Format findings as on the command line."""
    return [str(one) for one in findings]


def plain(value: Any) -> Any:
    """Convert records to JSON values, without None, 0 and empty lists."""
    if is_dataclass(value) and not type(value).__module__.startswith(
        ("dfgen.oci", "dfgen.errors", "dfgen.findings")
    ):
        found = {_NAMES.get(one.name, one.name): plain(getattr(value, one.name)) for one in fields(value)}
        return {name: item for name, item in found.items() if item not in ([], None, 0)}
    if isinstance(value, Finding | str) or not isinstance(value, Sequence):
        return value if isinstance(value, int | float | None) else str(value)
    return [plain(item) for item in value]


def as_json(found: Review) -> str:
    """Format a review as in the golden files."""
    return json.dumps(plain(found), indent=1, ensure_ascii=False) + "\n"
