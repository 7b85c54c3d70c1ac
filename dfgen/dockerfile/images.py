"""Every image that a Dockerfile takes from outside, so that what is not pinned can be refused."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from dfgen.dockerfile.instructions import Dockerfile, Instruction, parse
from dfgen.dockerfile.stages import stage_name, stages
from dfgen.values.errors import InputError

# A whole and valid instruction, on a line of its own, that takes no image: most lines of most Dockerfiles.
_SETTING = r"\w[\w.-]*=(?:[\w@%+=:,./~^-]*|\"[\w@%+=:,./~^ -]*\")"
_NO_IMAGE = re.compile(rf"(?:ENV|LABEL|ARG) {_SETTING}", re.ASCII)
_ALIKE = re.compile(rf"\n(?:ENV|LABEL|ARG) {_SETTING}(?=\n)", re.ASCII)
_ONE = "\nENV a=b"  # stands for any of them
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}(?![0-9a-f])")
_PARENT = re.compile(r"(\nFROM --platform=[a-z0-9/]+ )([A-Za-z0-9._/:-]+)(?=@)")
_NUMBER = "\0"  # on both sides of a number: no text has it
_SMALL = 16_000  # characters: no line of such a text is too long for BuildKit, whatever is in it


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


# What is not as it should be is told with the text as it is: an error, or `FROM \\` with an ENV behind it.
_UNCLEAR = (ExternalImage(line=0, text="ENV", keyword=""),)


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
    walk = stages(dockerfile)
    for instruction in walk.before:
        search.visit(instruction)
    for stage in walk.all:
        search.base(stage.opening)
        for instruction in stage.instructions:
            search.visit(instruction)
    return tuple(search.found)


def images_in(text: str, file: str) -> tuple[ExternalImage, ...]:
    """The external images of a Dockerfile's text; InputError when it is broken.

    Texts are read once that differ in digests, in the names of pinned parents, and in what lines such as
    `ENV name=value` set: what is found in one is found in all.
    """
    if len(text) < _SMALL and _NUMBER not in text:
        alike = _Alike()
        try:
            found = _images_in(alike.made_of(text))
        except InputError:
            found = _UNCLEAR
        if all(image.text != "ENV" for image in found):
            return tuple(map(alike.restored, found))
    return external_images(parse(text, file, passed=_NO_IMAGE))


@lru_cache(maxsize=512)
def _images_in(text: str) -> tuple[ExternalImage, ...]:
    return external_images(parse(text, passed=_NO_IMAGE))


class _Alike:
    """Puts numbers for what does not matter, and takes them back."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def made_of(self, text: str) -> str:
        """The text with constants for its settings, and numbers for its digests and its parents' names."""
        text = _DIGEST.sub(lambda found: self.number(found[0]), _ALIKE.sub(_ONE, text))
        return _PARENT.sub(lambda found: found[1] + self.number(found[2]), text)

    def number(self, text: str) -> str:
        """The mark that stands for a text, the same wherever that text is."""
        if text not in self.texts:  # where one text stands twice, the number does
            self.texts.append(text)
        return f"{_NUMBER}{self.texts.index(text)}{_NUMBER}"

    def restored(self, image: ExternalImage) -> ExternalImage:
        """The image as the text at hand names it; a text behind a number can hold numbers itself."""
        parts = image.text.split(_NUMBER)
        while len(parts) > 1:
            parts[1::2] = [self.texts[int(number)] for number in parts[1::2]]
            parts = "".join(parts).split(_NUMBER)
        return replace(image, text=parts[0])
