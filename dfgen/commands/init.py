"""Init: the files of a first catalog, and of a new family. They are computed; the caller writes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import dfgen
from dfgen.catalog.model import BASES, TEMPLATES, check_family_name
from dfgen.errors import InputError, Place, Problem
from dfgen.oci.reference import Reference


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

_IGNORE = "dist/\n"


def init(starter: Mapping[str, str], existing: Collection[str]) -> dict[str, str]:
    """Give the files of the starter catalog, by path; none may overwrite what is there.

    Errors: InputError for a folder that has a catalog already, or one of its files.
    """
    files = dict(starter)
    if ".gitignore" not in existing:
        files[".gitignore"] = _IGNORE
    if any(path.startswith(f"{BASES}/") for path in existing):
        message = (
            "holds a catalog already; `dfgen init` starts one in a folder without, `dfgen new` adds a family"
        )
        raise InputError(Problem(Place(f"{BASES}/"), message))
    return _free(files, existing)


def new_family(family: str, parent: str, existing: Collection[str]) -> dict[str, str]:
    """Give the files of a new family: its base.yaml and a template that builds on `parent`.

    Errors: InputError for a name or parent that cannot be, or a family that is there already.
    """
    check_family_name(family)
    Reference.parse(parent)
    files = {
        f"{BASES}/{family}/base.yaml": _BASE.format(family=family, parent=parent),
        f"{TEMPLATES}/{family}.Dockerfile.j2": _TEMPLATE,
    }
    return _free(files, existing)


def _free(files: dict[str, str], existing: Collection[str]) -> dict[str, str]:
    """Refuse to overwrite: a person made what is there."""
    taken = sorted(set(files) & set(existing))
    if taken:
        raise InputError(Problem(Place(path), "is there already; nothing was written") for path in taken)
    return files
