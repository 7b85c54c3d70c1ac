"""`dfgen verify`: check published images against the catalog."""

from __future__ import annotations

from collections.abc import Sequence

import click

from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands.verify import NOT_PUBLISHED, Mismatch, Verifying, verify
from dfgen.errors import ExitCode, counted

COLUMNS = ("reference", "what", "expected", "found")


@click.command("verify")
@click.argument("select", nargs=-1)
@click.option(
    "--registry",
    "registries",
    multiple=True,
    metavar="REGISTRY",
    help="Registry to check, for example registry.example.com/team; repeatable. Default: the catalog's.",
)
@click.pass_context
def command(ctx: click.Context, select: tuple[str, ...], registries: Sequence[str]) -> None:
    """Check published tags, digests, platforms, layers and parents against catalog, lock and layout."""
    app: App = ctx.obj
    images = app.images(select)
    how = Verifying(
        catalog=app.catalog,
        lock=app.lock,
        store=app.layout,
        registry=app.registry,
        registries=app.targets(registries),
        base=app.dockerfiles.base,
    )
    mismatches = verify(images, how)
    rows = ((one.reference, one.what, one.expected, one.found) for one in mismatches)
    show.rows(COLUMNS, rows, app.output)
    versions = counted(len({image.merged_name for image in images}), "version")
    show.note(f"{versions}, {counted(len(images), 'image')} verified: {_summary(mismatches)}")
    if mismatches:
        ctx.exit(ExitCode.CHECK_FAILED)


def _summary(mismatches: Sequence[Mismatch]) -> str:
    if not mismatches:
        return "all match"
    count = counted(len(mismatches), "mismatch")
    is_incomplete = any(one.found == NOT_PUBLISHED for one in mismatches)
    return f"{count}; run `dfgen publish`" if is_incomplete else count
