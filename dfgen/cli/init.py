"""`dfgen init`: create a working catalog."""

from __future__ import annotations

import click

from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands.init import existing, init, read
from dfgen.filetree import files


@click.command("init")
@click.pass_obj
def command(app: App) -> None:
    """Create a working catalog here: three families, two architectures, pinned and rendered."""
    created = init(read(), existing(app.root))
    for path, text in created.items():
        files.write(app.root / path, text)
    show.note(f"{len(created)} files written; next: `dfgen list`, then `dfgen build` (needs Docker)")
