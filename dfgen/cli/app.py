"""The object that click passes to every command: the workspace, and the output format."""

from __future__ import annotations

from dataclasses import dataclass

from dfgen.workspace import Workspace


@dataclass(eq=False)
class App(Workspace):
    """The workspace of one run; `output` is the value of the global --format."""

    output: str = "table"
