"""The catalog that comes with dfgen: the repository's own, which the wheel carries."""

from __future__ import annotations

from pathlib import Path

import dfgen
from dfgen.catalog.model import BASES, TEMPLATES


def read() -> dict[str, str]:
    """Read every file of the starter catalog, by its path relative to a catalog's root."""
    package = Path(dfgen.__file__).parent
    # In a checkout the catalog lies beside the package, in an installation inside it.
    root = package / "starter" if (package / "starter").is_dir() else package.parent
    found: dict[str, str] = {}
    for name in (BASES, TEMPLATES):
        for path in sorted((root / name).rglob("*")):
            if path.is_file():
                found[path.relative_to(root).as_posix()] = path.read_text(encoding="utf-8")
    return found


def existing(root: Path) -> frozenset[str]:
    """List the files that a folder has where a catalog's would lie."""
    folders = (root / BASES, root / TEMPLATES)
    inside = {path.relative_to(root).as_posix() for folder in folders for path in folder.rglob("*")}
    return frozenset(
        inside | {path.name for path in root.iterdir() if path.is_file()} if root.is_dir() else inside
    )
