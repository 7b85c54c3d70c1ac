"""Rules that are switched off for nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from dfgen.catalog.model import Image
from dfgen.errors import nearest
from dfgen.findings import Finding
from dfgen.linting.records import RULES

# Codes of hadolint and of ShellCheck, which it brings, and BuildKit's names of its checks: whether one was
# looked for is known where they ran.
HADOLINT = re.compile(r"(?:DL|SC)\d{4}")
BUILDKIT = re.compile(r"(?:[A-Z]+[a-z]+){2,}")


def unused_ignores(
    images: Sequence[Image],
    everything: Sequence[Image],
    used: set[tuple[str, str]],
    ran: Mapping[re.Pattern[str], bool],
) -> Iterator[Finding]:
    """What a family switches off and what was not found, where all of the family was looked at.

    `used` are families and rules of which something was found; `ran` says of which other program's codes that
    is known.
    """
    chosen = {id(image) for image in images}
    partial = {image.family.name for image in everything if id(image) not in chosen}
    for image in {image.family.name: image for image in images}.values():
        document = image.layers[1].document
        for rule in image.family.lint:
            whose = [pattern for pattern in ran if pattern.fullmatch(rule)]
            known = rule in RULES or whose
            looked = not any(not ran[pattern] for pattern in whose)
            if (image.family.name, rule) in used or image.family.name in partial or not looked:
                continue
            message = (
                f"{rule} is switched off, and nothing is found by it; remove it"
                if known
                else f"there is no rule {rule!r}{nearest(rule, sorted(RULES))}; docs/lint.md lists them"
            )
            place = document.place(("lint", "ignore", rule), key=True)
            yield Finding(rule="unused-ignore", level=RULES["unused-ignore"], message=message, place=place)
