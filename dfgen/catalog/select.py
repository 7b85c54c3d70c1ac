"""Select images on the command line: the SELECT arguments."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from dfgen.catalog.model import Image
from dfgen.errors import InputError, listing, nearest
from dfgen.oci.platform import Platform


def select(images: Sequence[Image], words: Sequence[str]) -> tuple[Image, ...]:
    """Return the images that match at least one word, in the given order; all images if there are no words.

    A word is `family`, `family:version`, either of them with `@platform`, a glob of these, or the path of a
    Dockerfile or of a folder with Dockerfiles.
    Raises InputError, with the nearest match as a hint, if a word matches no image.
    """
    if not words:
        return tuple(images)
    chosen: set[int] = set()
    for word in words:
        matches = _matcher(word)
        found = {position for position, image in enumerate(images) if matches(image)}
        if not found:
            raise InputError(_no_match(word, images))
        chosen |= found
    return tuple(image for position, image in enumerate(images) if position in chosen)


def _matcher(word: str) -> Callable[[Image], bool]:
    if "/" in word.partition("@")[0]:
        path = str(PurePosixPath(word))
        # A folder selects everything in it, so that the shell's completion of a partial path is useful.
        return lambda image: str(image.dockerfile) == path or str(image.dockerfile).startswith(f"{path}/")
    name, at, alias = word.partition("@")
    platform = Platform.parse(alias) if at else None
    family, colon, version = name.partition(":")

    def matches(image: Image) -> bool:
        """Whether an image matches all parts of the word."""
        return (
            ((at and not name) or fnmatch.fnmatchcase(image.family.name, family))
            and (not colon or fnmatch.fnmatchcase(image.version, version))
            and (platform is None or image.platform == platform)
        )

    return matches


def _no_match(word: str, images: Sequence[Image]) -> str:
    families = list(dict.fromkeys(image.family.name for image in images))
    known = [
        *families,
        *(image.merged_name for image in images),
        *(str(image.dockerfile) for image in images),
    ]
    hint = nearest(word.partition("@")[0], known) or f"; the families are {listing(families)}"
    return f"no image matches {word!r}{hint}; use FAMILY, FAMILY:VERSION or FAMILY:VERSION@ARCH"
