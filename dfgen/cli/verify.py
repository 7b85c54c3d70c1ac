"""`dfgen verify`: what is published is what the catalog says."""

from __future__ import annotations

from collections.abc import Sequence

import click

from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands.verify import Verifying, verify
from dfgen.errors import ExitCode

COLUMNS = ("reference", "what", "expected", "found")


@click.command("verify")
@click.argument("select", nargs=-1)
@click.option(
    "--registry",
    "registries",
    multiple=True,
    metavar="REGISTRY",
    help="Where to look. Default: the catalog's.",
)
@click.pass_context
def command(ctx: click.Context, select: tuple[str, ...], registries: Sequence[str]) -> None:
    """Read the registry back: tags, digests, platforms, layers and parents, against the catalog."""
    app: App = ctx.obj
    images = app.images(select)
    how = Verifying(
        catalog=app.catalog,
        lock=app.lock,
        store=app.layout,
        registry=app.registry,
        registries=app.targets(registries),
    )
    findings = verify(images, how)
    rows = ((one.reference, one.what, one.expected, one.found) for one in findings)
    show.rows(COLUMNS, rows, app.output)
    versions = len({image.merged_name for image in images})
    show.note(f"{versions} versions, {len(images)} images verified: {len(findings) or 'nothing'} amiss")
    if findings:
        ctx.exit(ExitCode.CHECK_FAILED)
