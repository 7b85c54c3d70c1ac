"""Find the template lines and the variables that produced each line of a generated Dockerfile.

No source map is stored: the Dockerfile is rendered again with tracing.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog, Image
from dfgen.catalog.provenance import Setting, Settings
from dfgen.commands.render import (
    Change,
    File,
    Rendered,
    TemplatesFor,
    body_lines,
    render_unchecked,
    stand_in,
)
from dfgen.errors import CheckError, InputError, Place, Problem
from dfgen.templating.origins import Expression, LineOrigin


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A line of a Dockerfile and its origin.

    `places` is the template line, followed by its callers; it is empty for a line of dfgen's own header.
    `also` are the origins of other parts of the line. `settings` are the variables printed in the line,
    `expressions` the template expressions that print them. `conditions` are the `if` and `for` statements
    around the line; `deciding` are the variables in these conditions that the line does not print.
    """

    line: int
    text: str
    places: tuple[Place, ...] = ()
    also: tuple[tuple[Place, ...], ...] = ()
    expressions: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    conditions: tuple[tuple[str, Place], ...] = ()
    deciding: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The requested line of a Dockerfile, 0 for all lines; `existing` is its text on disk or None."""

    path: str
    existing: str | None
    line: int = 0


def template_lines(
    catalog: Catalog, lock: Lock, templates_for: TemplatesFor, image: Image
) -> tuple[Place | None, ...]:
    """Return the template line of each line of a rendered Dockerfile, None for lines of the header.

    Returns () if the image does not render.
    """
    templates = templates_for(image)
    try:
        rendered = render_unchecked(catalog, image, lock, templates, stand_in)
    except InputError:
        return ()
    return rendered.template_lines()


def explain(rendered: Rendered, origins: Sequence[LineOrigin], settings: Settings) -> tuple[Explained, ...]:
    """Explain every line of a Dockerfile; `origins` has one entry for each line of the template's output."""
    found = []
    texts = rendered.text.removesuffix("\n").split("\n")
    body = body_lines(rendered.body, rendered.text)
    for number, (text, at) in enumerate(zip(texts, body, strict=True), start=1):
        line = Explained(line=number, text=text)
        if at is not None:
            line = _explained(line, origins[at], rendered.variables, settings)
        found.append(line)
    return tuple(found)


def _explained(
    line: Explained, origin: LineOrigin, variables: Mapping[str, object], settings: Settings
) -> Explained:
    printed = _names(origin.expressions, variables)
    values = (settings.of(name, variables[name]) for name in printed)
    decided = (name for name in _names(origin.conditions, variables) if name not in printed)
    return replace(
        line,
        places=origin.stack,
        also=origin.other_stacks,
        expressions=tuple(dict.fromkeys(one.text for one in origin.expressions)),
        settings=tuple(setting for found in values for setting in _within(line.text, found)),
        conditions=tuple((one.text, one.place) for one in origin.conditions),
        deciding=tuple(setting for name in decided for setting in settings.of(name, variables[name])),
    )


def _names(expressions: Sequence[Expression], variables: Mapping[str, object]) -> Mapping[str, None]:
    """Return the catalog variables used in expressions, in order; a mapping, to test membership."""
    return dict.fromkeys(name for one in expressions for name in one.names if name in variables)


def _within(text: str, settings: Sequence[Setting]) -> Sequence[Setting]:
    """Keep the entries of a list or mapping that appear in the line; all of them if none does."""
    seen = [setting for setting in settings if setting.entry and setting.entry in text]
    return seen or settings


def difference(wanted: Wanted, lines: Sequence[Explained]) -> str:
    """Return a note if the file on disk differs from the explained lines, or an empty string."""
    if wanted.existing == _text(lines):
        return ""
    if wanted.existing is None:
        problem = "is missing"
    else:
        change = File(path=wanted.path, old=wanted.existing, new=_text(lines)).change
        problem = "was edited by hand" if change in (Change.EDITED, Change.FOREIGN) else "is out of date"
    return f"{wanted.path}: {problem}; this explains what `dfgen render` writes"


def choose(wanted: Wanted, lines: Sequence[Explained]) -> tuple[Explained, ...]:
    """Return the requested lines; a line number counts in the file on disk, which may be edited or stale.

    Raises InputError if the file has no such line, CheckError if only the file has it.
    """
    if not wanted.line:
        return tuple(lines)
    existing = _text(lines) if wanted.existing is None else wanted.existing
    own = existing.removesuffix("\n").split("\n")
    if wanted.line > len(own):
        raise InputError(Problem(Place(wanted.path), f"has no line {wanted.line}; use 1 to {len(own)}"))
    matcher = difflib.SequenceMatcher(None, own, [line.text for line in lines], autojunk=False)
    for tag, start, end, first, last in matcher.get_opcodes():
        if start < wanted.line <= end:
            if tag == "equal":
                return (lines[first + wanted.line - 1 - start],)
            if tag == "replace":
                return tuple(lines[first:last])
    advice = "move it to the template, or delete it with `dfgen render --force`"
    place = Place(wanted.path, wanted.line)
    raise CheckError(Problem(place, f"this line is not rendered from the catalog; {advice}"))


def _text(lines: Sequence[Explained]) -> str:
    return "".join(f"{line.text}\n" for line in lines)
