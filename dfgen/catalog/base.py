"""Find the parent that an image is based on: the one of the last stage of its Dockerfile."""

from __future__ import annotations

import re

from dfgen.catalog.model import Catalog, Image, Parent
from dfgen.dockerfile.parser import parse
from dfgen.dockerfile.stages import stages
from dfgen.errors import InputError

_FROM_SCRATCH = re.compile(r"^[ \t]*FROM[ \t]+scratch\b", re.IGNORECASE | re.MULTILINE)


def base_of(image: Image, dockerfile: str, catalog: Catalog) -> Parent | None:
    """Return the parent of the stage that becomes the image, through all stages that it is built on.

    None for `FROM scratch`. The image's own parent if the Dockerfile cannot be parsed, or was edited.
    https://github.com/opencontainers/image-spec/blob/main/annotations.md
    """
    # Most Dockerfiles have one parent: they need not be parsed.
    if not image.parents and not _FROM_SCRATCH.search(dockerfile):
        return image.parent
    try:
        last = [*stages(parse(dockerfile, image.path)).in_image][-1:]
    except InputError:
        return image.parent
    for stage in last:
        name = stage.reference.partition("@")[0]
        for parent in image.all_parents:
            shown = parent.reference if parent.family else catalog.mirrored(parent.reference)
            if name == str(shown.without_digest()) and stage.platform == str(parent.platform):
                return parent
        if name == "scratch":
            return None
    return image.parent
