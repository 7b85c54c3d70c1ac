"""A selection within one family, for which the others are read but not worked out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import PurePosixPath

from dfgen.catalog.model import BASES, Catalog, Image
from dfgen.catalog.select import select
from dfgen.cli.app import App
from dfgen.errors import InputError


def in_one_family(app: App, words: Sequence[str]) -> tuple[Catalog, Sequence[Image]] | None:
    """What words select in the one family that all of them name, and a catalog of that family alone.

    None where they name several, none, or nothing in it: the whole catalog then says what is meant.
    Errors: InputError for what is wrong with the family.
    """
    names = {_family(word) for word in words}
    name = names.pop() if len(names) == 1 else ""
    if not name or "/" in name or not (app.root / BASES / name / "base.yaml").is_file():
        return None
    catalog = app.family(name)
    with suppress(InputError):
        return catalog, select(catalog.images, words)
    return None


def _family(word: str) -> str:
    path = PurePosixPath(word)
    if path.parts[:1] == (BASES,) and len(path.parts) > 1:
        return path.parts[1]
    return re.split("[:@]", word)[0]
