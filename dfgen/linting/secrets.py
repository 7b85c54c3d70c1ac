"""Secrets that would stay in an image's history."""

from __future__ import annotations

from collections.abc import Iterator

from dfgen.dockerfile import Dockerfile
from dfgen.dockerfile.names import is_secret
from dfgen.dockerfile.stages import stages
from dfgen.linting.records import Hit


def secret(dockerfile: Dockerfile) -> Iterator[Hit]:
    """An ARG or ENV that looks like a secret; an ARG may get its value from a build argument."""
    for word in stages(dockerfile).words:
        keyword = word.keyword.removeprefix("ONBUILD ")
        has_value = keyword == "ARG" or (keyword == "ENV" and word.unquoted)
        if has_value and is_secret(word.name, word.unquoted):
            message = (
                f"{keyword} {word.name} looks like a secret, and stays in the image's history;"
                " use RUN --mount=type=secret"
            )
            yield Hit(rule="secret", message=message, line=word.line)
