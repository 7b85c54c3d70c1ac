"""`dfgen doctor`: check whether this machine is ready for a build."""

from __future__ import annotations

from collections.abc import Iterator

import click

from dfgen.catalog.expand import DEFAULT_PLATFORMS
from dfgen.catalog.model import Catalog
from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands.doctor import (
    Check,
    check_pins,
    doctor,
    leftover_checks,
    platform_checks,
    registry_checks,
)
from dfgen.engine.cleanup import ImageRecords
from dfgen.errors import ExitCode, counted
from dfgen.oci.platform import Platform
from dfgen.workspace import DIST

COLUMNS = ("what", "state", "said")
_DEADLINE = 10.0  # seconds for each registry; shorter than for real work, since somebody waits for the report


@click.command("doctor")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Check the catalog, the engine, every platform, the lock and the registries, and suggest fixes.

    Exits with 1 if a check fails.
    """
    app: App = ctx.obj
    app.deadline = _DEADLINE
    results = doctor(_checks(app))
    rows = ((one.name, "ok" if one.ok else "LACKING", one.message) for one in results)
    show.rows(COLUMNS, rows, app.output)
    if not all(one.ok for one in results):
        ctx.exit(ExitCode.CHECK_FAILED)


def _size(catalog: Catalog) -> str:
    return f"{counted(len(catalog.families), 'family')}, {counted(len(catalog.images), 'image')}"


def _checks(app: App) -> Iterator[tuple[str, Check]]:
    yield "catalog", lambda: _size(app.catalog)
    yield from platform_checks(_platforms(app), app.nodes)
    yield from leftover_checks(ImageRecords(app.root / DIST))
    if app.has_catalog:
        yield "lock", lambda: check_pins(app.catalog, app.lock)
        yield from registry_checks(app.catalog, app.registry)


def _platforms(app: App) -> list[Platform]:
    """Return the platforms of the catalog, or the default ones if there is no catalog."""
    if app.has_catalog:
        return list(dict.fromkeys(image.platform for image in app.catalog.images))
    return [Platform.parse(alias) for alias in DEFAULT_PLATFORMS]
