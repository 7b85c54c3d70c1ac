"""Secrets that would stay in an image's history."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dfgen.dockerfile import Dockerfile, Instruction
from dfgen.linting.records import Hit

# The end of a name says what it holds: TOKEN is one, TOKEN_FILE and TOKEN_URL are not.
_SECRET = re.compile(
    r"(?:^|_)(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY|SECRET_?KEY|CREDENTIALS?)$",
    re.IGNORECASE,
)
_EMPTY = frozenset(("", '""', "''"))


def secret(dockerfile: Dockerfile) -> Iterator[Hit]:
    """An ARG or ENV whose name says that it holds a secret."""
    for one in (outer.trigger or outer for outer in dockerfile.instructions):
        for name in _names(one):
            if _SECRET.search(name):
                message = (
                    f"{one.keyword} {name} looks like a secret, and stays in the image's history;"
                    " use RUN --mount=type=secret"
                )
                yield Hit(rule="secret", message=message, line=one.line)


def _names(one: Instruction) -> Iterator[str]:
    if one.keyword == "ENV":
        pairs = zip(one.words[::2], one.words[1::2], strict=True)
        yield from (name for name, value in pairs if value not in _EMPTY)
    elif one.keyword == "ARG":
        yield from (word.partition("=")[0] for word in one.words)
