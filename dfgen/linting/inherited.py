"""What an image has from the images of the catalog that it is built on."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dfgen.catalog.model import Image
from dfgen.dockerfile import Dockerfile
from dfgen.dockerfile.stages import stages
from dfgen.linting.packages import is_configured
from dfgen.linting.records import Above

# Of a parent that cannot be read nothing is known: its SHELL may have the option.
_ANY = ("/bin/sh", "-o", "pipefail", "-c")


class Inherited:
    """Asks the Dockerfiles of parents, and of theirs, also of those that are not looked at themselves.

    `read` gives the Dockerfile of an image, None where it cannot be read.
    """

    def __init__(self, images: Iterable[Image], read: Callable[[Image], Dockerfile | None]) -> None:
        self._images = {(image.merged_name, image.platform): image for image in images}
        self._read = read
        self._found: dict[str, tuple[tuple[str, ...], bool]] = {}

    def above(self, image: Image) -> Above:
        """What all parents of this catalog give."""
        shells: dict[str, tuple[str, ...]] = {}
        has_apt_conf = False
        for parent in (one for one in image.all_parents if one.family):
            of = self._images.get((parent.key, parent.platform))
            shell, is_quiet = self._of(of) if of else (_ANY, True)
            shells[str(parent.reference).lower()] = shell
            has_apt_conf |= is_quiet
        return Above(shells=shells, has_apt_conf=has_apt_conf)

    def _of(self, image: Image) -> tuple[tuple[str, ...], bool]:
        """The SHELL that an image ends with, and whether apt is configured in it."""
        if image.name not in self._found:
            dockerfile, above = self._read(image), self.above(image)
            last = stages(dockerfile, above.shells).last if dockerfile else None
            is_quiet = not dockerfile or above.has_apt_conf or is_configured(dockerfile)
            self._found[image.name] = (last.last_shell if last else _ANY, is_quiet)
        return self._found[image.name]
