"""From marked text to a Dockerfile: every value written for its place, or everything that has none told."""

from __future__ import annotations

from collections.abc import Sequence

from dfgen.errors import InputError, Place, Problem
from dfgen.templating.holes import HOLE, Hole, shown
from dfgen.templating.marks import MARK, SENTINEL, Site, site_index
from dfgen.templating.structure import filled
from dfgen.templating.walk import Refusal, Walk

_BROKEN = (
    "text that a macro, a block or join composed was cut or changed inside, so that its values can no longer"
    " be told from its text; change the values before they are composed"
)


class Quoting:
    """Writes values in place; `sites` is the table of the expressions, `shown` the folder in messages."""

    def __init__(self, shown: str, sites: Sequence[Site]) -> None:
        self._shown = shown
        self._sites = sites

    def write(self, text: str, template: str) -> str:
        """Give the Dockerfile that marked text stands for; InputError with every value that has no place."""
        texts, written = self.pieces(text, template)
        return filled(HOLE.join(texts), written) if written else text

    def pieces(self, text: str, template: str) -> tuple[list[str], list[str]]:
        """Give the template's texts, and what is written in the holes between them; errors as for `write`."""
        pieces = MARK.split(text)
        texts, holes = pieces[::4], [Hole(*pieces[at : at + 3]) for at in range(1, len(pieces), 4)]
        if any(map(SENTINEL.search, texts)):
            raise InputError(Problem(Place(f"{self._shown}/{template}"), _BROKEN))
        if not holes:
            return texts, []
        walk = Walk(HOLE.join(texts), holes)
        walk.run()
        if walk.refused:
            raise InputError(dict.fromkeys(self._problem(refusal, template) for refusal in walk.refused))
        return texts, walk.written

    def _problem(self, refusal: Refusal, template: str) -> Problem:
        index = site_index(refusal.hole.site)
        known = index < len(self._sites)
        site = self._sites[index] if known else Site(template=template, line=0, expression="a value")
        value = shown(refusal.hole.value)
        message = f"{site.expression!r} is {value}, which cannot stand in {refusal.where}: {refusal.reason}"
        return Problem(Place(f"{self._shown}/{site.template}", site.line), message)
