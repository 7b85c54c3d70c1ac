"""`dfgen list`: what the catalog holds."""

from __future__ import annotations

import click

from dfgen.catalog.model import Image
from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands import render as header
from dfgen.errors import InputError
from dfgen.workspace.cache import RenderCache

COLUMNS = ("family", "version", "platform", "tag", "parents", "dockerfile", "state", "end_of_life")


@click.command("list")
@click.argument("select", nargs=-1)
@click.pass_obj
def command(app: App, select: tuple[str, ...]) -> None:
    """Show families, versions, platforms, tags, parents and the state of each Dockerfile."""
    remembered = RenderCache(app.root)
    images, existing = app.images(select), remembered.existing
    is_known = remembered.all_unchanged()
    found = (_row(app, image, existing.get(str(image.dockerfile)), is_known) for image in images)
    show.rows(COLUMNS, found, app.output, spare=("dockerfile", "tag", "end_of_life"))


def _row(app: App, image: Image, text: str | None, is_known: bool) -> tuple[object, ...]:
    family, version = image.family.name, image.version
    state = _state(app, image, text, is_known)
    parents = [parent.key for parent in dict.fromkeys(image.all_parents)]
    return (family, version, image.platform, image.tag, parents, image.dockerfile, state, image.end_of_life)


def _state(app: App, image: Image, text: str | None, is_known: bool) -> str:
    """Say how a Dockerfile stands; where it is known that nothing changed it is not rendered again."""
    lacking = [parent for parent in image.all_parents if app.lock.pin(parent) is None]
    if lacking:
        return "waits for its parent" if all(parent.family for parent in lacking) else "not locked"
    if text is None:
        return "not rendered"
    if not header.is_intact(text):
        return "edited by hand"
    return "rendered" if is_known else _rendered(app, image, text)


def _rendered(app: App, image: Image, text: str) -> str:
    from dfgen.commands.render import render_image

    try:
        is_same = render_image(app.catalog, image, app.lock, app.templates_for(image)) == text
    except InputError:
        return "does not render"
    return "rendered" if is_same else "out of date"
