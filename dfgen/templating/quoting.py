"""Write every marked value for the place where it stands."""

from __future__ import annotations

from collections.abc import Sequence

from dfgen.templating.marks import MARK, Site, site_index
from dfgen.values.errors import InputError, Place, Problem


class Quoting:
    """One pass over rendered text; `sites` is the table of the expressions."""

    def __init__(self, shown: str, sites: Sequence[Site]) -> None:
        self._shown = shown
        self._sites = sites

    def write(self, text: str, template: str) -> str:  # noqa: ARG002
        """Give the text with its values in place."""
        for found in MARK.finditer(text):
            if "\n" in found[3]:
                site = self._sites[site_index(found[2])]
                place = Place(f"{self._shown}/{site.template}", site.line)
                raise InputError(Problem(place, f"the value of {site.expression!r} holds a line break"))
        return MARK.sub(r"\3", text)
