"""`dfgen list`: what the catalog holds."""

from __future__ import annotations

import click

from dfgen.cli import show
from dfgen.cli.app import App
from dfgen.model import header
from dfgen.model.catalog import Image
from dfgen.outside import files

COLUMNS = ("family", "version", "platform", "tag", "parents", "dockerfile", "state", "end_of_life")


@click.command("list")
@click.argument("select", nargs=-1)
@click.pass_obj
def command(app: App, select: tuple[str, ...]) -> None:
    """Show families, versions, platforms, tags, parents and the state of each Dockerfile."""
    images = app.images(select)
    existing = files.dockerfiles(app.root)
    found = (_row(app, image, existing.get(str(image.dockerfile))) for image in images)
    show.rows(COLUMNS, found, app.output, spare=("dockerfile", "tag", "end_of_life"))


def _row(app: App, image: Image, text: str | None) -> tuple[object, ...]:
    family, version = image.family.name, image.version
    state = _state(app, image, text)
    parents = [parent.key for parent in dict.fromkeys(image.all_parents)]
    return (family, version, image.platform, image.tag, parents, image.dockerfile, state, image.end_of_life)


def _state(app: App, image: Image, text: str | None) -> str:
    lacking = [parent for parent in image.all_parents if app.lock.pin(parent) is None]
    if lacking:
        return "waits for its parent" if all(parent.family for parent in lacking) else "not locked"
    if text is None:
        return "not rendered"
    if not header.is_intact(text):
        return "edited by hand"
    return "rendered"
