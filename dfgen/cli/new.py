"""`dfgen new`: a family to start from."""

from __future__ import annotations

import click

from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands import init as starter
from dfgen.commands.init import new_family
from dfgen.filetree import files


@click.command("new")
@click.argument("family")
@click.option(
    "--parent",
    default="docker.io/library/debian:bookworm-slim",
    show_default=True,
    help="What it is built on.",
)
@click.pass_obj
def command(app: App, family: str, parent: str) -> None:
    """Add a family to the catalog: its base.yaml and a template."""
    for path, text in new_family(family, parent, starter.existing(app.root)).items():
        files.write(app.root / path, text)
        show.note(f"{path}: new")
    show.note("next: edit both, then `dfgen lock` and `dfgen render`")
