"""`dfgen join`: combine layouts of several machines."""

from __future__ import annotations

from pathlib import Path

import click

from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands.join import join, match
from dfgen.commands.merge import merge_layout
from dfgen.commands.plan import plan
from dfgen.errors import listing
from dfgen.oci.layout import Layout

COLUMNS = ("family", "version", "architecture", "digest", "from")


@click.command("join")
@click.argument(
    "folders",
    metavar="DIR...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.pass_obj
def command(app: App, folders: tuple[Path, ...]) -> None:
    """Copy the images of other layouts into dist/, and merge versions that are complete then.

    A DIR is the dist/ of another machine, or a layout that a bake file exported. Each image must have the
    inputs of this catalog: the same Dockerfile, context, pins and options.
    """
    joined = match(map(Layout, folders), plan(app.images(()), app.lock, app.planning))
    join(joined, app.layout, app.records, app.root)
    rows = (
        (one.image.family.name, one.image.version, one.image.platform.row.tag, one.digest, one.origin)
        for one in joined
    )
    show.rows(COLUMNS, rows, app.output)
    versions = {one.image.merged_name: app.catalog.versions[one.image.merged_name] for one in joined}
    found = merge_layout(app.layout, app.lock, versions, base=app.dockerfiles.base)
    for merged in found.merged:
        show.note(f"{merged.name}: {merged.digest}")
    for name, platforms in found.waiting.items():
        show.note(f"{name}: not merged yet, missing {listing(map(str, platforms))}")
    if found.failed:
        raise found.failed
