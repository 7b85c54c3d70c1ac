"""`dfgen init`: a working catalog to start from."""

from __future__ import annotations

import click

from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands import init as starter
from dfgen.commands.init import init
from dfgen.filetree import files


@click.command("init")
@click.pass_obj
def command(app: App) -> None:
    """Make a working catalog here: three families, two architectures, pinned and rendered."""
    found = init(starter.read(), starter.existing(app.root))
    for path, text in found.items():
        files.write(app.root / path, text)
    show.note(f"{len(found)} files written; next: `dfgen list`, then `dfgen build` where Docker is")
