"""Every image that a Dockerfile takes from outside, so that what is not pinned can be refused."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass

from dfgen.dockerfile.parser import Dockerfile, Instruction, parse
from dfgen.dockerfile.stages import stage_name

# A whole and valid instruction, on a line of its own, that takes no image: most lines of most Dockerfiles.
_SETTING = r"\w[\w.-]*=(?:[\w@%+=:,./~^-]*|\"[\w@%+=:,./~^ -]*\")"
_NO_IMAGE = re.compile(rf"(?:ENV|LABEL|ARG) {_SETTING}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalImage:
    """An image reference as written (variables are not resolved) and the instruction that takes it.

    `platform` is FROM's `--platform` as written, or None; `onbuild` when a child's build takes it.
    """

    line: int
    text: str
    keyword: str
    platform: str | None = None
    onbuild: bool = False


def _mounts(instruction: Instruction) -> Iterator[str]:
    """The `from=` of every `RUN --mount=...`."""
    for mount in instruction.flag("mount"):
        for field in next(csv.reader([mount]), []):
            key, equals, value = field.partition("=")
            if equals and key.lower() == "from":
                yield value


class _Search:
    """Collects images in order: a name counts as a stage only after its FROM."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.found: list[ExternalImage] = []

    def visit(self, instruction: Instruction, onbuild: bool = False) -> None:
        """Collect the images that one instruction names; a trigger counts as the instruction it holds."""
        if instruction.trigger is not None:
            self.visit(instruction.trigger, onbuild=True)
        elif instruction.keyword == "FROM":
            self.base(instruction)
        elif instruction.keyword in ("COPY", "ADD"):
            for source in instruction.flag("from"):
                if not (source.isdecimal() and int(source) < len(self.stages) - 1):
                    self.add(source, instruction, onbuild)
        elif instruction.keyword == "RUN":
            for source in _mounts(instruction):
                self.add(source, instruction, onbuild)

    def base(self, instruction: Instruction) -> None:
        """Collect the image that FROM names, and begin its stage."""
        platform = next(iter(instruction.flag("platform")), None)
        for image in instruction.words[:1]:
            self.add(image, instruction, platform=platform)
        self.stages.append(stage_name(instruction))

    def add(
        self, text: str, instruction: Instruction, onbuild: bool = False, platform: str | None = None
    ) -> None:
        """Keep a name, unless it is empty, `scratch` or an earlier stage."""
        if text.lower() in self.stages or text == "scratch" or not text:
            return
        image = ExternalImage(
            line=instruction.line, text=text, keyword=instruction.keyword, platform=platform, onbuild=onbuild
        )
        self.found.append(image)


def external_images(dockerfile: Dockerfile) -> tuple[ExternalImage, ...]:
    """What FROM, `COPY --from` and `RUN --mount=from=` name that is neither scratch nor an earlier stage.

    Stage names are compared without case, as BuildKit does; a number is a stage for COPY alone.
    An ONBUILD trigger counts too: its stages are the child's, which are not known here.
    """
    search = _Search()
    for instruction in dockerfile.instructions:
        search.visit(instruction)
    return tuple(search.found)


def images_in(text: str, file: str) -> tuple[ExternalImage, ...]:
    """Return the external images of a Dockerfile's text; raises InputError if it is broken."""
    return external_images(parse(text, file, passed=_NO_IMAGE))
