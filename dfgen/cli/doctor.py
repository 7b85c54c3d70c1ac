"""`dfgen doctor`: what this machine lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from dfgen.catalog.expand import DEFAULT_PLATFORMS
from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands import doctor as stage
from dfgen.engine.cleanup import ImageRecords
from dfgen.errors import CheckError, ExitCode, listing
from dfgen.oci.platform import Platform
from dfgen.workspace import DIST


@click.command("doctor")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Look at the catalog, the engine, every platform, the lock and the registries.

    What is lacking stands with the command that mends it; exit code 1 when anything is.
    """
    app: App = ctx.obj
    app.deadline = 10.0
    findings = stage.doctor(_looks(app))
    words = {True: "ok", False: "LACKING"}
    show.rows(
        ("what", "state", "said"), ((one.what, words[one.holds], one.said) for one in findings), app.output
    )
    if not all(one.holds for one in findings):
        ctx.exit(ExitCode.CHECK_FAILED)


def _looks(app: App) -> Iterator[tuple[str, stage.Look]]:
    yield "catalog", lambda: f"{len(app.catalog.families)} families, {len(app.catalog.images)} images"
    yield from stage.platforms(_platforms(app), lambda platform: _node(app, platform))
    with ImageRecords(app.root / DIST).orphans() as left:
        names = [record.name for record in left]
    if names:
        yield "smoke tests", lambda: _left(names)
    if app.has_catalog:
        yield "lock", lambda: stage.pins(app.catalog, app.lock)
        yield from stage.registries(app.catalog, app.registry)


def _left(names: Sequence[str]) -> str:
    advice = "`dfgen gc` removes it, as the next build does"
    raise CheckError(f"one that was killed left {listing(names)} in an engine; {advice}")


def _node(app: App, platform: Platform) -> str:
    checked = app.nodes.check([platform])
    found = [
        f"{'natively' if platform == node.native else 'emulated'} by {node.name} at {node.host}"
        for node in checked.usable[platform].values()
    ]
    return "; ".join([f"built {' and '.join(found)}", *checked.skipped])


def _platforms(app: App) -> list[Platform]:
    """Name the platforms that the catalog is built for, or those that most are."""
    if app.has_catalog:
        return list(dict.fromkeys(image.platform for image in app.catalog.images))
    return [Platform.parse(alias) for alias in DEFAULT_PLATFORMS]
