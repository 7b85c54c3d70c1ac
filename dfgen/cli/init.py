"""`dfgen init`: create a working catalog."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands.init import existing, init, read
from dfgen.filetree import files


@click.command("init")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.pass_obj
def command(app: App, folder: Path | None) -> None:
    """Create a working catalog in DIR, or here: three families, two architectures, pinned and rendered."""
    root = app.root / folder if folder else app.root
    created = init(read(), existing(root))
    for path, text in created.items():
        files.write(root / path, text)
    enter = f"`cd {shlex.quote(str(folder))}`, then " if folder and folder != Path() else ""
    show.note(f"{len(created)} files written; next: {enter}`dfgen list`, then `dfgen build` (needs Docker)")
