"""`dfgen gc`: delete unreferenced data."""

from __future__ import annotations

import click

from dfgen.catalog.model import BASES
from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands.gc import collect
from dfgen.engine.cleanup import sweep
from dfgen.errors import counted
from dfgen.workspace import DIST


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Show what would be removed; remove nothing.")
@click.pass_obj
def command(app: App, dry_run: bool) -> None:
    """Delete data in dist/ that no image, version or record refers to.

    Also deletes leftovers of killed commands: temporary files, and containers and images of smoke tests.
    Keeps the versions published last, so that they can be compared and published again.
    """
    found = collect(app.layout, bases=app.root / BASES, dry_run=dry_run)
    if app.output == "json":
        show.rows(("kind", "files", "size"), ((one.kind, one.files, one.size) for one in found), app.output)
    else:
        rows = ((one.kind, one.files, show.size(one.size)) for one in found if one.files)
        show.rows(("kind", "files", "size"), rows, app.output)
    files, size = sum(one.files for one in found), sum(one.size for one in found)
    count = f"{counted(files, 'file')} ({show.size(size)})"
    done = "would be removed" if dry_run else "removed"
    show.note(f"{count} {done}" if files else "nothing to remove")
    swept = sweep(app.root / DIST, app.nodes, dry_run=dry_run)
    show.notes(filter(None, (swept.summary(dry_run=dry_run), *map(str, swept.problems))))
