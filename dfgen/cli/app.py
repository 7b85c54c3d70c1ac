"""The object that click passes to every command: the workspace, and the output format."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dfgen.workspace import Workspace, catalog_above


@dataclass(eq=False)
class App(Workspace):
    """The workspace of one run; `output` is the value of the global --format."""

    output: str = "table"

    @classmethod
    def here(cls, output: str) -> App:
        """Open the catalog of the current folder, or of the nearest folder above it."""
        here = Path.cwd()
        found = catalog_above(here)
        if found is None or found == here:
            return cls(Path(), output=output)
        return cls(Path(os.path.relpath(found)), is_above=True, output=output)
