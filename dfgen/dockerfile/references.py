"""Finds every external image of a Dockerfile, so that unpinned ones can be rejected."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dfgen.dockerfile.parser import Dockerfile, Instruction, parse
from dfgen.dockerfile.stages import stage_name

# A complete, valid instruction on a single line that uses no image. Most lines of most Dockerfiles are like
# that.
_SETTING = r"\w[\w.-]*=(?:[\w@%+=:,./~^-]*|\"[\w@%+=:,./~^ -]*\")"
_NO_IMAGE = re.compile(rf"(?:ENV|LABEL|ARG) {_SETTING}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalImage:
    """An image reference as written, without expanding variables, and the instruction that uses it.

    `platform` is FROM's `--platform` as written, or None. `onbuild` if it is used in the build of a child.
    """

    line: int
    text: str
    keyword: str
    platform: str | None = None
    onbuild: bool = False


def _mounts(instruction: Instruction) -> Iterator[str]:
    """Yield the `from=` of every `RUN --mount=...`."""
    for mount in instruction.flag("mount"):
        for field in next(csv.reader([mount]), []):
            key, equals, value = field.partition("=")
            if equals and key.lower() == "from":
                yield value


class _Search:
    """Collects images in order; a name is a stage only after its FROM."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.found: list[ExternalImage] = []

    def visit(self, instruction: Instruction, onbuild: bool = False) -> None:
        """Collect the images of one instruction, or of the trigger of an ONBUILD."""
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
        """Collect the image of FROM, and begin its stage."""
        platform = next(iter(instruction.flag("platform")), None)
        for image in instruction.words[:1]:
            self.add(image, instruction, platform=platform)
        self.stages.append(stage_name(instruction))

    def add(
        self, text: str, instruction: Instruction, onbuild: bool = False, platform: str | None = None
    ) -> None:
        """Collect a name, unless it is empty, `scratch` or an earlier stage."""
        if text.lower() in self.stages or text == "scratch" or not text:
            return
        image = ExternalImage(
            line=instruction.line, text=text, keyword=instruction.keyword, platform=platform, onbuild=onbuild
        )
        self.found.append(image)


def external_images(dockerfile: Dockerfile) -> tuple[ExternalImage, ...]:
    """Return the images of FROM, `COPY --from` and `RUN --mount=from=`, without scratch and earlier stages.

    Like BuildKit, compares stage names case-insensitively, and accepts a number as a stage only in COPY.
    Images of ONBUILD triggers are included: their stages are those of the child, which are unknown here.
    """
    search = _Search()
    for instruction in dockerfile.instructions:
        search.visit(instruction)
    return tuple(search.found)


def images_used(instruction: Instruction, stages: Iterable[str]) -> tuple[ExternalImage, ...]:
    """Return the external images of one instruction in the last of these stages."""
    search = _Search()
    search.stages.extend(stages)
    search.visit(instruction)
    return tuple(search.found)


def images_in(text: str, file: str) -> tuple[ExternalImage, ...]:
    """Return the external images of a Dockerfile's text. Raises InputError if it is broken."""
    return external_images(parse(text, file, skip=_NO_IMAGE))
