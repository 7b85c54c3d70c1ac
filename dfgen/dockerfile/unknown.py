"""What is no instruction of a Dockerfile: a slip in its name, or what a merge conflict left behind."""

from __future__ import annotations

from collections.abc import Iterator

from dfgen.dockerfile.instructions import KEYWORDS, Dockerfile
from dfgen.values.errors import nearest, printable

_CONFLICT = frozenset(("<<<<<<<", "|||||||", "=======", ">>>>>>>"))
_OWN = "docker/dockerfile"  # any other frontend may know more instructions


def unknown_instructions(dockerfile: Dockerfile) -> Iterator[tuple[int, str]]:
    """Yield the line of each, and what is wrong with it."""
    syntax = dockerfile.directives.get("syntax", _OWN)
    if not syntax.removeprefix("docker.io/").startswith(_OWN):
        return
    for outer in dockerfile.instructions:
        keyword = (outer.trigger or outer).keyword
        if keyword in _CONFLICT:
            yield outer.line, f"{keyword} is left of a merge conflict; take one side"
        elif keyword not in KEYWORDS:
            yield outer.line, f"{printable(keyword)!r} is no instruction{nearest(keyword, sorted(KEYWORDS))}"
