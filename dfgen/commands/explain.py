"""Explain: which template lines and which variables made each line of a generated Dockerfile.

Nothing is kept for it: the Dockerfile is rendered once more, and its lines are followed.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog, Image
from dfgen.catalog.provenance import Setting, Settings
from dfgen.commands import render as header
from dfgen.commands.render import Rendered, TemplatesFor, render_unchecked
from dfgen.errors import CheckError, InputError, Place, Problem
from dfgen.templating.origins import Expression, LineOrigin


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A line of a Dockerfile, and what made it; without `places`, dfgen's own header did.

    `settings` are the variables that are printed in it; `deciding` those that are not, and that its
    `conditions` take.
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
    """The lines of a file that a person asks for; `line` is 0 for all, `existing` None where no file is."""

    path: str
    existing: str | None
    line: int = 0


def template_lines(
    catalog: Catalog, lock: Lock, templates_for: TemplatesFor, image: Image
) -> tuple[Place | None, ...]:
    """Map each line of a rendered Dockerfile to its template line, None for lines of the header.

    Returns () if the image does not render.
    """
    templates = templates_for(image)
    try:
        rendered = render_unchecked(catalog, image, lock, templates)
    except InputError:
        return ()
    origins = templates.origins(image.template, rendered.variables)
    body = header.body_lines(rendered.body, rendered.text)
    return tuple(next(iter(origins[at].stack), None) if at is not None else None for at in body)


def explain(rendered: Rendered, origins: Sequence[LineOrigin], settings: Settings) -> tuple[Explained, ...]:
    """Explain every line of a Dockerfile, from the origins of the template's lines."""
    found = []
    body = header.body_lines(rendered.body, rendered.text)
    for number, (own, at) in enumerate(
        zip(rendered.text.removesuffix("\n").split("\n"), body, strict=True), 1
    ):
        line = Explained(line=number, text=own)
        if at is not None:
            line = _explained(line, origins[at], rendered.variables, settings)
        found.append(line)
    return tuple(found)


def _explained(
    line: Explained, origin: LineOrigin, variables: Mapping[str, object], settings: Settings
) -> Explained:
    printed = _names(origin.expressions, variables)
    found = [
        setting for name in printed for setting in _within(line.text, settings.of(name, variables[name]))
    ]
    decided = (name for name in _names(origin.conditions, variables) if name not in printed)
    return replace(
        line,
        places=origin.stack,
        also=origin.other_stacks,
        expressions=tuple(dict.fromkeys(one.text for one in origin.expressions)),
        settings=tuple(found),
        conditions=tuple((one.text, one.place) for one in origin.conditions),
        deciding=tuple(setting for name in decided for setting in settings.of(name, variables[name])),
    )


def _names(expressions: Sequence[Expression], variables: Mapping[str, object]) -> Mapping[str, None]:
    """The catalog's variables in expressions, in their order."""
    return dict.fromkeys(name for one in expressions for name in one.names if name in variables)


def _within(text: str, settings: Sequence[Setting]) -> Sequence[Setting]:
    """Of a list or mapping the entries that stand in the line, where that can be seen; else all."""
    seen = [setting for setting in settings if setting.entry and setting.entry in text]
    return seen or settings


def difference(wanted: Wanted, lines: Sequence[Explained]) -> str:
    """Say how the file is not what was explained; nothing when it is."""
    if wanted.existing is None:
        return f"{wanted.path}: is missing; this is what `dfgen render` writes"
    if wanted.existing == _text(lines):
        return ""
    edited = (
        "was edited by hand" if not header.is_intact(wanted.existing) else "is not what the catalog renders"
    )
    return f"{wanted.path}: {edited}; this is what `dfgen render` writes"


def choose(wanted: Wanted, lines: Sequence[Explained]) -> tuple[Explained, ...]:
    """Keep the lines that are asked for: a line of the file is found again in what the catalog renders.

    Errors: InputError for a line that the file does not have, CheckError for one that only the file has.
    """
    if not wanted.line:
        return tuple(lines)
    existing = _text(lines) if wanted.existing is None else wanted.existing
    own = existing.removesuffix("\n").split("\n")
    place = Place(wanted.path, wanted.line)
    if wanted.line > len(own):
        raise InputError(Problem(Place(wanted.path), f"has no line {wanted.line}; expected 1 to {len(own)}"))
    matcher = difflib.SequenceMatcher(None, own, [line.text for line in lines], autojunk=False)
    for tag, start, end, first, last in matcher.get_opcodes():
        if start < wanted.line <= end:
            if tag == "equal":
                return (lines[first + wanted.line - 1 - start],)
            if tag == "replace":
                return tuple(lines[first:last])
    mend = "move it to the template, or `dfgen render --force` removes it"
    raise CheckError(Problem(place, f"the catalog renders no such line; {mend}"))


def _text(lines: Sequence[Explained]) -> str:
    return "".join(f"{line.text}\n" for line in lines)
