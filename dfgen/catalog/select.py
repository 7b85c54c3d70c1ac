"""SELECT: the words by which a person narrows a command to some images."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from dfgen.catalog.model import BASES, Image
from dfgen.errors import InputError, listing, nearest
from dfgen.oci.platform import Platform


def select(images: Sequence[Image], words: Sequence[str]) -> tuple[Image, ...]:
    """Keep the images that any word selects; without words, all.

    A word is a family, `family:version`, either with `@platform`, a glob of these, or a Dockerfile's path.
    Errors: InputError for a word that selects nothing, with the nearest that would.
    """
    if not words:
        return tuple(images)
    chosen: set[int] = set()
    for word in words:
        matches = _matcher(word)
        found = {position for position, image in enumerate(images) if matches(image)}
        if not found:
            raise InputError(_nothing(word, images))
        chosen |= found
    return tuple(image for position, image in enumerate(images) if position in chosen)


def _matcher(word: str) -> Callable[[Image], bool]:
    if "/" in word.partition("@")[0]:
        path = str(PurePosixPath(word))
        # A folder selects what lies in it, so that a shell's completion of either is enough.
        return lambda image: str(image.dockerfile) == path or str(image.dockerfile).startswith(f"{path}/")
    name, at, alias = word.partition("@")
    platform = Platform.parse(alias) if at else None
    family, colon, version = name.partition(":")

    def matches(image: Image) -> bool:
        """Whether an image is what all given parts of the word name."""
        return (
            ((at and not name) or fnmatch.fnmatchcase(image.family.name, family))
            and (not colon or fnmatch.fnmatchcase(image.version, version))
            and (platform is None or image.platform == platform)
        )

    return matches


def _nothing(word: str, images: Sequence[Image]) -> str:
    families = list(dict.fromkeys(image.family.name for image in images))
    known = [
        *families,
        *(image.merged_name for image in images),
        *(str(image.dockerfile) for image in images),
    ]
    bare = word.partition("@")[0]
    hint = nearest(bare, known) or f"; the families are {listing(families)}"
    example = f"{families[0]}:{images[0].version}@{images[0].platform.row.dockerfile}" if images else BASES
    return f"nothing is selected by {word!r}{hint}; expected FAMILY, FAMILY:VERSION or such as {example}"
