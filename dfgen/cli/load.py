"""`dfgen load`: an image in the local engine, for a try."""

from __future__ import annotations

import click

from dfgen.catalog.model import LOCAL
from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands.load import load, plan
from dfgen.engine.containers import Engine


@click.command("load")
@click.argument("select", nargs=-1, required=True)
@click.pass_obj
def command(app: App, select: tuple[str, ...]) -> None:
    """Put what is built into the local engine, under the tags that it is published with, for a try.

    A version that is selected with all its architectures comes under its merged tag too.
    """
    images = app.images(select)
    plan(images, app.catalog, app.layout, indexes=False)  # what is not built is told without an engine
    whole = app.nodes.inspect(LOCAL).has_image_store
    found = plan(images, app.catalog, app.layout, indexes=whole)
    load(found, Engine(app.nodes, app.layout))
    rows = ((one.reference, one.platform, one.digest) for one in found)
    show.rows(("tag", "platform", "digest"), rows, app.output)
    for one in found:
        show.note(one.run)
