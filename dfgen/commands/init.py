"""Create the files of a starter catalog and of a new family; the caller writes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import dfgen
from dfgen.catalog.model import BASES, TEMPLATES, check_family_name
from dfgen.errors import InputError, Place, Problem
from dfgen.filetree.files import TEMPORARY
from dfgen.oci.reference import Reference


def read() -> dict[str, str]:
    """Read the files of the starter catalog; keys are paths relative to a catalog's root."""
    package = Path(dfgen.__file__).parent
    # In a checkout, the catalog is next to the package; in an installation, inside it.
    root = package / "starter" if (package / "starter").is_dir() else package.parent
    found: dict[str, str] = {}
    for name in (BASES, TEMPLATES):
        for path in sorted((root / name).rglob("*")):
            if path.is_file():
                found[path.relative_to(root).as_posix()] = path.read_text(encoding="utf-8")
    return found


def existing(root: Path) -> frozenset[str]:
    """List the paths in a folder that could conflict with the files of a catalog."""
    folders = (root / BASES, root / TEMPLATES)
    inside = {path.relative_to(root).as_posix() for folder in folders for path in folder.rglob("*")}
    return frozenset(
        inside | {path.name for path in root.iterdir() if path.is_file()} if root.is_dir() else inside
    )


_BASE = """\
# yaml-language-server: $schema=../.schema/base.schema.json
description: {family}

template: {family}.Dockerfile.j2
parent: {parent}

versions: ["1.0"]

tests:
  - run: "true"
"""

_TEMPLATE = """\
FROM {{ parent }}

LABEL {% for name, value in labels | dictsort -%}
{{ name }}="{{ value }}"{{ "" if loop.last else " \\\\\\n      " }}
{%- endfor %}

"""

_IGNORE = f"dist/\n.*{TEMPORARY}\n"


def init(starter: Mapping[str, str], existing: Collection[str]) -> dict[str, str]:
    """Return the files of the starter catalog, text by path.

    Raises InputError if the folder already contains a catalog, or one of the files.
    """
    files = dict(starter)
    if ".gitignore" not in existing:
        files[".gitignore"] = _IGNORE
    if any(path.startswith(f"{BASES}/") for path in existing):
        message = (
            "already contains a catalog; run `dfgen init` in another folder, or add a family with `dfgen new`"
        )
        raise InputError(Problem(Place(f"{BASES}/"), message))
    return _without_conflicts(files, existing)


def new_family(family: str, parent: str, existing: Collection[str]) -> dict[str, str]:
    """Return the files of a new family: its base.yaml, and a template that builds on `parent`.

    Raises InputError if the name or the parent is invalid, or if a file already exists.
    """
    check_family_name(family)
    Reference.parse(parent)
    files = {
        f"{BASES}/{family}/base.yaml": _BASE.format(family=family, parent=parent),
        f"{TEMPLATES}/{family}.Dockerfile.j2": _TEMPLATE,
    }
    return _without_conflicts(files, existing)


def _without_conflicts(files: dict[str, str], existing: Collection[str]) -> dict[str, str]:
    if conflicts := sorted(set(files) & set(existing)):
        raise InputError(Problem(Place(path), "already exists; nothing was written") for path in conflicts)
    return files
