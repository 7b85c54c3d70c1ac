"""`dfgen gc`: room that nothing needs."""

from __future__ import annotations

import click

from dfgen.catalog.model import BASES
from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands.gc import collect
from dfgen.engine.cleanup import sweep
from dfgen.workspace import DIST


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Say what would be removed; remove nothing.")
@click.pass_obj
def command(app: App, dry_run: bool) -> None:
    """Remove what dist/ holds and nobody refers to: neither an image or version, nor a record of a run.

    What commands that were killed left goes too: temporary files, and what smoke tests have in an engine.
    What was published last stays, so that it can be compared and published again.
    """
    found = collect(app.layout, bases=app.root / BASES, dry_run=dry_run)
    if app.output == "json":
        show.rows(("kind", "files", "size"), ((one.kind, one.files, one.size) for one in found), app.output)
    else:
        rows = ((one.kind, one.files, show.size(one.size)) for one in found if one.files)
        show.rows(("kind", "files", "size"), rows, app.output)
    files, size = sum(one.files for one in found), sum(one.size for one in found)
    removed = "would be removed" if dry_run else "removed"
    show.note(f"{files} {'file' if files == 1 else 'files'} with {show.size(size)} {removed}")
    swept = sweep(app.root / DIST, app.nodes, dry_run=dry_run)
    for text in filter(None, (swept.summary(dry_run=dry_run), *map(str, swept.problems))):
        show.note(text)
