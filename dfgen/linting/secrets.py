"""Secrets that would stay in an image's history."""

from __future__ import annotations

from collections.abc import Iterator

from dfgen.dockerfile import Dockerfile, Instruction
from dfgen.dockerfile.secrets import is_secret
from dfgen.linting.records import Hit

_EMPTY = frozenset(("", '""', "''"))


def secret(dockerfile: Dockerfile) -> Iterator[Hit]:
    """An ARG or ENV whose name or value says that it holds a secret."""
    for one in (outer.trigger or outer for outer in dockerfile.instructions):
        for name, value in _assigned(one):
            if is_secret(name, value.strip("\"'")):
                message = (
                    f"{one.keyword} {name} looks like a secret, and stays in the image's history;"
                    " use RUN --mount=type=secret"
                )
                yield Hit(rule="secret", message=message, line=one.line)


def _assigned(one: Instruction) -> Iterator[tuple[str, str]]:
    """The names that get a value; an ARG may get one from whoever builds."""
    if one.keyword == "ENV":
        pairs = zip(one.words[::2], one.words[1::2], strict=True)
        yield from ((name, value) for name, value in pairs if value not in _EMPTY)
    elif one.keyword == "ARG":
        yield from ((name, value) for name, _, value in (word.partition("=") for word in one.words))
