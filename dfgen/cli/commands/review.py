"""`dfgen review`: what a pull request changes, for the person who reviews it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from dfgen.cli import annotating, show
from dfgen.cli.reviews.data import data
from dfgen.cli.reviews.markdown import markdown
from dfgen.cli.reviews.origins import origins
from dfgen.cli.reviews.terminal import tell
from dfgen.cli.reviews.uneven import parity
from dfgen.commands.building.records import Records
from dfgen.commands.review import review
from dfgen.commands.review.records import Review, Sources
from dfgen.errors import ExitCode
from dfgen.workspace import DIST, App
from dfgen.workspace.snapshots import Sides

_ONLINE = "dfgen.online"


@click.command("review")
@click.argument("base", default="")
@click.argument("after", default="")
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@click.option(
    "--format", "output", type=click.Choice(["table", "json", "markdown"]), help="As before COMMAND."
)
@click.option(
    "--online",
    is_flag=True,
    expose_value=False,
    callback=lambda ctx, _, given: ctx.meta.update({_ONLINE: given}),
    help="Ask the registries what moved inside of the parents.",
)
@annotating.options
@click.pass_context
def command(
    ctx: click.Context,
    base: str,
    after: str,
    strict: bool,
    output: str | None,
    annotations: str | None,
    target: Path | None,
) -> None:
    """Say what changes from BASE to AFTER, for whom, and its risks; exit 1 when one is an error.

    BASE and AFTER are a git revision or a catalog's folder each. BASE is where this branch left the main one,
    AFTER the files as they are, unless they are named.
    """
    annotating.check(annotations, target)
    app: App = ctx.obj
    with TemporaryDirectory(prefix="dfgen-") as folder, annotating.errors(app, annotations, target):
        sides = Sides(app, Path(folder), (base, after))
        found = _review(sides, Records(app.root / DIST).past_seconds(), online=ctx.meta[_ONLINE])
    _print(found, output or app.output)
    annotating.write(app, found.risks, annotations, target)
    if found.fails(strict=strict):
        ctx.exit(ExitCode.DIFFERS)


def _review(sides: Sides, past: Mapping[str, float], *, online: bool) -> Review:
    new = sides.after.app
    sources = Sources(
        templates=new.templates_for,
        parity=partial(parity, new),
        origins=partial(origins, new),
        seconds=past,
    )
    before, now = sides.read()
    if not online:
        return review(before, now, sources)
    from dfgen.commands.review.online import Asking

    asking = Asking(registry=new.registry, locks=(before.lock, now.lock))
    found = review(before, now, replace(sources, look=asking.look, resolve=asking.resolve))
    return replace(found, notes=(*found.notes, *asking.notes()))


def _print(found: Review, output: str) -> None:
    if output == "json":
        show.data(data(found))
    elif output == "markdown":
        print(markdown(found), end="")
    else:
        tell(found)
