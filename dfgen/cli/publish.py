"""`dfgen publish`: push built images to registries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from dfgen.catalog import lifetime
from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.cli.progress import transferring
from dfgen.commands import plan as planning
from dfgen.commands import publish as publishing
from dfgen.commands.publish.release import Release
from dfgen.errors import counted

COLUMNS = ("tag", "state", "digest")


@click.command("publish")
@click.argument("select", nargs=-1)
@click.option(
    "--registry",
    "registries",
    multiple=True,
    metavar="REGISTRY",
    help="Target registry, for example registry.example.com/team; repeatable. Default: the catalog's.",
)
@click.option("--dry-run", is_flag=True, help="Show the digest that each tag would get; write nothing.")
@click.option("--as-built", is_flag=True, help="Publish even if the catalog has changed since the build.")
@click.option(
    "--force", is_flag=True, help="Overwrite tags that dfgen did not publish; never immutable ones."
)
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
    """Push built images: blobs, then manifests, then each architecture's tag, and the merged tag last.

    Versions that were built from an older state of the catalog are refused, unless --as-built allows them.
    """
    app.deadline = deadline
    images = app.images(select)
    stale = {} if as_built else planning.stale(images, app.lock, app.planning, app.dockerfiles)
    with transferring() as (total, progress):
        how = app.publishing(registries, stale=stale, force=force, total=total, progress=progress)
        releases = publishing.plan(images, how)
        published = publishing.Published(done=releases) if dry_run else publishing.publish(releases, how)
    show.rows(COLUMNS, _rows(published.done), app.output)
    if dry_run:
        publishing.check(releases)
    would = "would be " if dry_run else ""
    show.notes(
        f"{one.merged.reference}: {would}repaired: the registry lost {len(one.missing)} of its manifests"
        " or their blobs"
        for one in published.done
        if one.is_repaired
    )
    changed = [release for release in published.done if release.changes]
    if over := lifetime.summary((image for release in changed for image in release.bundle.images), app.today):
        show.note(over)
    versions = counted(len(releases), "version")
    show.note(f"{len(changed)} of {versions} {'would change' if dry_run else 'changed'}")
    if published.failed:
        raise published.failed


def _rows(releases: Sequence[Release]) -> Iterator[tuple[object, ...]]:
    for release in releases:
        for tag in release.tags:
            yield tag.reference, tag.state, tag.digest
