"""`dfgen refresh`: rebuild images without cache, to get the packages that distributions have today."""

from __future__ import annotations

from collections.abc import Iterator

import click

from dfgen.catalog.graph import with_descendants
from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.cli.build import jobs_option, show_notes
from dfgen.cli.progress import progress
from dfgen.commands.building import build, plan_build
from dfgen.commands.building.run import Run
from dfgen.errors import listing

COLUMNS = ("package", "from", "to", "architectures", "images")


@click.command("refresh")
@click.argument("select", nargs=-1)
@jobs_option
@click.option(
    "--check",
    is_flag=True,
    help="Fail if packages would move, and keep the images and locks.",
)
@click.pass_context
def command(ctx: click.Context, select: tuple[str, ...], jobs: int | None, check: bool) -> None:
    """Rebuild images, and all images that are built on them, without cache, and update their package locks.

    An image whose packages did not move keeps its digest.
    """
    app: App = ctx.obj
    images = with_descendants(app.images(select), app.catalog.images)
    plan, rendered = plan_build(images, app.lock, app.planning, app.dockerfiles, locked=check)
    show.notes(rendered)
    plan = plan.again({image.name for image in images})
    slots, notes = app.prepare_nodes(plan, jobs or 0)
    show.notes(notes)
    with progress(plan.needed) as report:
        run = build(plan, app.lock, app.building(slots, report, locked=check, no_cache=True))
    show.rows(COLUMNS, _moves(run), app.output, spare=("images",))
    show_notes(run, [one for one in run.packages if not one.moves])
    if run.interrupted:
        raise click.Abort
    ctx.exit(run.exit_code)


def _moves(run: Run) -> Iterator[tuple[object, ...]]:
    """Yield a row for each package that moved, with all architectures and images that have the same move."""
    found: dict[tuple[str, str, str], tuple[dict[str, None], dict[str, None]]] = {}
    for moved in run.packages:
        for move in moved.moves:
            platforms, images = found.setdefault((move.name, move.old, move.new), ({}, {}))
            platforms[moved.image.platform.row.dockerfile] = None
            images[moved.image.merged_name] = None
    for (name, old, new), (platforms, images) in sorted(found.items()):
        yield name, old, new, ", ".join(sorted(platforms)), listing(sorted(images))
