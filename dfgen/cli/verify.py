"""`dfgen verify`: check published images against the catalog."""

from __future__ import annotations

from collections.abc import Sequence

import click

from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands.verify import MISSING, NOT_PUBLISHED, Mismatch, Verifying, verify
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
    """Check published tags, digests, platforms, layers and parents against catalog, lock and layout.

    Exit code 1 if anything is missing or differs, and 3 if a registry did not answer some of the checks, even
    if others found a mismatch; both are reported.
    """
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
    verified = verify(images, how)
    mismatches = verified.mismatches
    rows = ((one.reference, one.what, one.expected, one.found) for one in mismatches)
    show.rows(COLUMNS, rows, app.output)
    versions = counted(len({image.merged_name for image in images}), "version")
    scope = f"{versions}, {counted(len(images), 'image')}"
    if verified.failed:
        found = _summary(mismatches) if mismatches else "no mismatch so far"
        show.note(f"{scope} not verified completely: {found}")
        raise verified.failed
    show.note(f"{scope} verified: {_summary(mismatches)}")
    if mismatches:
        ctx.exit(ExitCode.CHECK_FAILED)


def _summary(mismatches: Sequence[Mismatch]) -> str:
    if not mismatches:
        return "all match"
    count = counted(len(mismatches), "mismatch")
    is_incomplete = any(one.found in (NOT_PUBLISHED, MISSING) for one in mismatches)
    return f"{count}; run `dfgen publish`" if is_incomplete else count
