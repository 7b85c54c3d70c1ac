"""Which templates and which context files an image is made from, as far as their texts say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from posixpath import normpath

from dfgen.dockerfile import parse
from dfgen.model.catalog import Image
from dfgen.values.errors import InputError

_LOADED = re.compile(r"\{%[-+]?\s*(?:include|import|from|extends)\s+(.*?)%\}", re.DOTALL)
_QUOTED = re.compile(r"\"([^\"]+)\"|'([^']+)'")
_WHAT_FOR = re.compile(r"\b(?:import|as|ignore missing|with context|without context)\b")
_URL = re.compile(r"[a-z]+://|git@")
_IGNORE = ".dockerignore"


def _loads(text: str, templates: Mapping[str, str]) -> Iterator[str]:
    """Yield what one template takes in; a name that is computed may be any of them."""
    for statement in _LOADED.findall(text):
        named = _WHAT_FOR.split(statement)[0]
        names = [normpath(one or other) for one, other in _QUOTED.findall(named)]
        yield from (name for name in names if name in templates)
        if not names or re.search(r"\w", _QUOTED.sub("", named)):
            yield from templates


def closure(template: str, templates: Mapping[str, str]) -> frozenset[str]:
    """The template and everything that it includes, imports or extends."""
    found, waiting = {template}, [template]
    while waiting:
        more = set(_loads(templates.get(waiting.pop(), ""), templates)) - found
        found |= more
        waiting.extend(more)
    return frozenset(found)


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
