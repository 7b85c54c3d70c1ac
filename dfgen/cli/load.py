"""`dfgen load`: load built images into the local engine."""

from __future__ import annotations

import click

from dfgen.catalog.model import LOCAL
from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands.load import check, load, plan


@click.command("load")
@click.argument("select", nargs=-1, required=True)
@click.pass_obj
def command(app: App, select: tuple[str, ...]) -> None:
    """Load built images into the local engine, under the tags that they are published with.

    A version that is selected with all its architectures is loaded under its merged tag as well.
    """
    images = app.images(select)
    check(images, app.layout)  # first: a missing image is reported even if no engine runs
    has_indexes = app.nodes.inspect(LOCAL).has_image_store
    found = plan(images, app.catalog, app.layout, indexes=has_indexes)
    load(found, app.containers)
    rows = ((one.reference, one.platform, one.digest) for one in found)
    show.rows(("tag", "platform", "digest"), rows, app.output)
    show.notes(one.run for one in found)
