"""`dfgen publish`: the layout to registries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.cli.progress import transferring
from dfgen.commands import plan as planning
from dfgen.commands import publish as stage
from dfgen.commands.publish.release import Release

COLUMNS = ("tag", "state", "digest")


@click.command("publish")
@click.argument("select", nargs=-1)
@click.option(
    "--registry",
    "registries",
    multiple=True,
    metavar="REGISTRY",
    help="Where to, such as registry.example.com/team; may be given again. Default: the catalog's.",
)
@click.option("--dry-run", is_flag=True, help="Say which tags will have which digests; write nothing.")
@click.option(
    "--as-built", is_flag=True, help="Publish what was built though the catalog has moved on since."
)
@click.option("--force", is_flag=True, help="Overwrite tags that somebody else moved; never immutable ones.")
@click.option("--deadline", type=float, default=300.0, help="Seconds for each request, retries included.")
@click.pass_obj
def command(
    app: App,
    select: tuple[str, ...],
    registries: Sequence[str],
    dry_run: bool,
    as_built: bool,
    force: bool,
    deadline: float,
) -> None:
    """Push what is built: blobs, then manifests, then each architecture's tag, and the merged tag last.

    A version that is not what the catalog says any more is refused, unless --as-built allows it.
    """
    app.deadline = deadline
    images = app.images(select)
    stale = {} if as_built else planning.stale(images, app.lock, app.planning, app.dockerfiles)
    with transferring() as (total, progress):
        how = app.publishing(registries, stale=stale, force=force, total=total, progress=progress)
        releases = stage.plan(images, how)
        published = stage.Published(done=releases) if dry_run else stage.publish(releases, how)
    show.rows(COLUMNS, _rows(published.done), app.output)
    if dry_run:
        stage.check(releases)
    changed = sum(1 for release in published.done if release.changes)
    words = "would change" if dry_run else "changed"
    show.note(f"{changed} of {len(releases)} versions {words}")
    if published.failed:
        raise published.failed


def _rows(releases: Sequence[Release]) -> Iterator[tuple[object, ...]]:
    for release in releases:
        for tag in release.tags:
            yield tag.reference, tag.state, tag.digest
