"""What an image has from the images of the catalog that it is built on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dfgen.dockerfile import Dockerfile
from dfgen.linting.records import Shells, stages
from dfgen.model.catalog import Image

# Of a parent that is not looked at nothing is known: its SHELL may have the option.
_ANY = ("/bin/sh", "-o", "pipefail", "-c")


class Inherited:
    """Asks the Dockerfiles of images, by their paths, for the SHELL that those built on them begin with."""

    def __init__(self, images: Iterable[Image], dockerfiles: Mapping[str, Dockerfile]) -> None:
        self._images = {(image.merged_name, image.platform): image for image in images}
        self._dockerfiles = dockerfiles

    def shells(self, image: Image) -> Shells:
        """The SHELL that each parent of this catalog ends with, by its reference without digest."""
        found = {}
        for parent in (one for one in image.all_parents if one.family):
            above = self._images.get((parent.key, parent.platform))
            found[str(parent.reference).lower()] = self._last(above) if above else _ANY
        return found

    def _last(self, image: Image) -> tuple[str, ...]:
        dockerfile = self._dockerfiles.get(str(image.dockerfile))
        found = stages(dockerfile, self.shells(image)) if dockerfile else ()
        return found[-1].last_shell if found else _ANY
