"""Which context files an image is made from, as far as its Dockerfile says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from dfgen.dockerfile import parse
from dfgen.model.catalog import Image
from dfgen.values.errors import InputError

_URL = re.compile(r"[a-z]+://|git@")
_IGNORE = ".dockerignore"


def _sources(text: str) -> Iterator[str]:
    for instruction in parse(text).instructions:
        if instruction.keyword in ("COPY", "ADD") and not instruction.flag("from"):
            yield from instruction.words[:-1]


def _takes(source: str, path: str) -> bool:
    """Whether a source of COPY names a file, a folder above it, or a pattern for either."""
    source = str(PurePosixPath(source.strip("/")))
    above = [path, *(str(one) for one in PurePosixPath(path).parents)]
    return source == "." or any(fnmatchcase(one, source) for one in above if one != ".")


def taken(image: Image, text: str, changed: frozenset[str]) -> list[str]:
    """Find the changed files, by path below the root, that the image's Dockerfile copies.

    A variable in a source may stand for anything; what cannot be read counts as copying nothing.
    """
    folder = image.family.context
    inside = {path: PurePosixPath(path) for path in changed}
    own = {str(at.relative_to(folder)): path for path, at in inside.items() if at.is_relative_to(folder)}
    if not own:
        return []
    try:
        sources = [source for source in _sources(text) if not _URL.match(source)]
    except InputError:
        return []
    return sorted(
        path
        for name, path in own.items()
        if any("$" in source or _takes(source, name) for source in sources) or (sources and name == _IGNORE)
    )
