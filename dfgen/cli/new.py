"""`dfgen new`: add a family to the catalog."""

from __future__ import annotations

import click

from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands.init import existing, new_family
from dfgen.filetree import files


@click.command("new")
@click.argument("family")
@click.option(
    "--parent",
    default="docker.io/library/debian:bookworm-slim",
    show_default=True,
    help="The parent image.",
)
@click.pass_obj
def command(app: App, family: str, parent: str) -> None:
    """Add a family to the catalog: its base.yaml and a template."""
    for path, text in new_family(family, parent, existing(app.root)).items():
        files.write(app.root / path, text)
        show.note(f"{path}: new")
    show.note("next: edit both files, then run `dfgen lock` and `dfgen render`")
