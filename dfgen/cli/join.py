"""`dfgen join`: one layout from those that several machines built."""

from __future__ import annotations

from pathlib import Path

import click

from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands.join import join, match
from dfgen.commands.merge import merge_layout
from dfgen.commands.plan import plan
from dfgen.commands.plan.records import Records
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
    """Bring the images of other layouts into dist/, and merge the versions that are whole then.

    A DIR is the dist/ of another machine, or what a bake file built. Each image has to be what the catalog
    says: built from the same Dockerfile, context, pins and options.
    """
    joined = match(
        map(Layout, folders),
        plan(app.images(()), app.lock, app.planning),
        lambda folder, digest: Records(folder).inputs(digest),
    )
    join(joined, app.layout, app.records, app.root)
    show.rows(
        COLUMNS,
        (
            (one.image.family.name, one.image.version, one.image.platform.row.tag, one.digest, one.origin)
            for one in joined
        ),
        app.output,
    )
    versions = {one.image.merged_name: app.catalog.versions[one.image.merged_name] for one in joined}
    found = merge_layout(app.layout, app.lock, versions)
    for merged in found.merged:
        show.note(f"{merged.name}: {merged.digest}")
    for name, platforms in found.waiting.items():
        show.note(f"{name}: not merged yet, it lacks {listing(map(str, platforms))}")
    if found.failed:
        raise found.failed
