"""Which templates an image is made from, as far as their texts say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from posixpath import normpath

_LOADED = re.compile(r"\{%[-+]?\s*(?:include|import|from|extends)\s+(.*?)%\}", re.DOTALL)
_QUOTED = re.compile(r"\"([^\"]+)\"|'([^']+)'")
_WHAT_FOR = re.compile(r"\b(?:import|as|ignore missing|with context|without context)\b")


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
