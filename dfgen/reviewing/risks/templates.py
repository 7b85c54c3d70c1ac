"""Risks of generated lines, placed at the template's line, where a person mends them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from dfgen.catalog.model import Catalog, Image
from dfgen.errors import Place
from dfgen.findings import Finding
from dfgen.reviewing.records import State

Origins = Callable[[Image], Sequence[Place | None]]

_RULES = frozenset(("add-url", "arch-change", "context", "secret", "unknown-instruction", "user-root"))


def at_templates(
    findings: Iterable[Finding], after: State, rendered: Mapping[str, str], origins: Origins
) -> Iterator[Finding]:
    """Place risks of instructions at the template's line, with the generated line beside it.

    What stands in a file that was edited by hand and not in what is rendered has no other place.
    """
    images = _by_path(after.catalog)
    for one in findings:
        image = images.get(one.place.file) if one.rule in _RULES and one.generated is None else None
        # What did not change is not rendered again: its file is what the template gives.
        text = rendered.get(one.place.file, after.dockerfiles.get(one.place.file))
        if image is None or text is None or not one.place.line:
            yield one
            continue
        line = _same_line(after.dockerfiles.get(one.place.file, ""), text, one.place.line)
        places = origins(image) if line else ()
        place = places[line - 1] if line <= len(places) and line else None
        yield replace(one, place=place, generated=one.place) if place else one


def _by_path(catalog: Catalog | None) -> dict[str, Image]:
    return {image.path: image for image in catalog.images} if catalog else {}


def _same_line(there: str, rendered: str, line: int) -> int:
    """Find a line of a file in what is rendered; 0 when it is not there."""
    if there == rendered:
        return line
    matcher = difflib.SequenceMatcher(None, there.splitlines(), rendered.splitlines(), autojunk=False)
    blocks = matcher.get_matching_blocks()
    return next((line - at + to for at, to, size in blocks if at < line <= at + size), 0)
