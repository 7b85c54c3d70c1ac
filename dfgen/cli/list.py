"""`dfgen list`: the images of the catalog and the state of their Dockerfiles."""

from __future__ import annotations

import click

from dfgen.catalog.model import Image
from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.workspace.cache import RenderCache

COLUMNS = ("family", "version", "platform", "tag", "parents", "dockerfile", "state", "end_of_life")


@click.command("list")
@click.argument("select", nargs=-1)
@click.pass_obj
def command(app: App, select: tuple[str, ...]) -> None:
    """List families, versions, platforms, tags, parents, and the state of each Dockerfile."""
    remembered = RenderCache(app.root)
    images, existing = app.images(select), remembered.existing
    is_current = remembered.all_unchanged()
    rows = (_row(app, image, existing.get(image.path), is_current) for image in images)
    show.rows(COLUMNS, rows, app.output, spare=("dockerfile", "tag", "end_of_life"))


def _row(app: App, image: Image, text: str | None, is_current: bool) -> tuple[object, ...]:
    parents = [parent.key for parent in dict.fromkeys(image.all_parents)]
    return (
        image.family.name,
        image.version,
        image.platform,
        image.tag,
        parents,
        image.dockerfile,
        app.dockerfiles.state(image, app.lock, text, is_current=is_current),
        image.end_of_life,
    )
