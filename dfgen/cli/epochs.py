"""The time of everything in an image: the catalog's number, or that of the last commit to its family."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from dfgen.values.errors import InputError, Place, Problem

# All else is imported where it is used: with a number there is no git to ask.
if TYPE_CHECKING:
    from dfgen.filetree.git import Git
    from dfgen.model.catalog import Catalog, Family

_NUMBER = "write a number as source_date_epoch"


@dataclass(eq=False)
class Epochs:
    """The times of a catalog's families; git is asked once for each, when it is first asked for."""

    catalog: Catalog
    _known: dict[Family, int] = field(default_factory=dict)

    def of(self, family: Family) -> int:
        """The time of everything in a family's images, in seconds since 1970.

        What is not committed yet does not count. Errors: InputError where git knows no time, OutsideError.
        """
        if self.catalog.source_date_epoch is not None:
            return self.catalog.source_date_epoch
        if family not in self._known:
            self._known[family] = self._committed(family)
        return self._known[family]

    @cached_property
    def _git(self) -> Git:
        from dfgen.filetree.git import Git

        return Git(self.catalog.root, _NUMBER)

    def _committed(self, family: Family) -> int:
        found = self._git.touched([str(family.folder), str(family.context)])
        if found is None:
            message = f"no commit has any of its files; commit them, or {_NUMBER}"
            raise InputError(Problem(Place(f"{family.folder}/"), message))
        return found
