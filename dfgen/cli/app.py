"""What every command gets: the workspace, and how results are printed."""

from __future__ import annotations

from dataclasses import dataclass

from dfgen.workspace import Workspace


@dataclass(eq=False)
class App(Workspace):
    """One run of a command; `output` is the value of --format."""

    output: str = "table"
