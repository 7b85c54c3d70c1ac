"""`dfgen lock`: pin parents, move pins, or check them."""

from __future__ import annotations

import re

import click

from dfgen.catalog.lockfile import LOCK_FILE
from dfgen.cli import pinned, show
from dfgen.cli.quota import shortages
from dfgen.commands import lock as stage
from dfgen.commands.lock import LockChanges
from dfgen.filetree import files
from dfgen.workspace import App


@click.command("lock")
@click.option("--upgrade", is_flag=True, help="Move the pins of all parents, or of those named.")
@click.option("--uneven", is_flag=True, help="Move the PARENTs also when only some architectures moved.")
@click.option("--check", is_flag=True, help="Change nothing; exit 1 when a parent has moved or has no pin.")
@click.option("--dry-run", is_flag=True, help="Say what would be locked; write nothing.")
@click.option(
    "--min-age",
    metavar="DAYS",
    callback=lambda _ctx, _option, text: _days(text) if text else 0,
    help="With --upgrade: hold back what was first seen less than 3d or 2w ago.",
)
@click.option(
    "--deadline",
    type=float,
    default=60.0,
    expose_value=False,
    callback=lambda ctx, _option, seconds: setattr(ctx.obj, "deadline", seconds),
    help="Seconds for each parent, retries included.",
)
@click.argument("parents", nargs=-1)
@click.pass_obj
def command(
    app: App,
    upgrade: bool,
    uneven: bool,
    check: bool,
    dry_run: bool,
    min_age: int,
    parents: tuple[str, ...],
) -> None:
    """Pin every parent that has no pin yet, for every platform that is built on it.

    A pin that is there stays until --upgrade moves it; name PARENTs to move only those.
    A parent of which only some architectures moved is held back, unless --uneven says otherwise.
    With --min-age, what a tag points at now is noted in the lock with the date, and taken when it is of age.
    """
    if parents and not upgrade:
        raise click.UsageError("PARENT goes with --upgrade")
    if uneven and not parents:
        raise click.UsageError("--uneven goes with --upgrade PARENT; name the parents that may move so")
    if check and (upgrade or dry_run):
        raise click.UsageError("--check changes nothing; it goes without --upgrade and --dry-run")
    if min_age and not upgrade:
        raise click.UsageError("--min-age goes with --upgrade: a parent without a pin is pinned at once")
    how = stage.Locking(
        registry=app.registry, today=app.today, uneven=uneven, min_age=min_age, built=app.built
    )
    if check:
        stage.check(app.catalog, app.lock, how)
        show.note(f"{LOCK_FILE}: every pin is what its tag points at")
        return
    for short in () if parents else shortages(app.catalog, app.lock, app.registry):
        show.note(short)
    changes = (
        stage.upgrade(app.catalog, app.lock, how, parents)
        if upgrade
        else stage.lock(app.catalog, app.lock, how)
    )
    _act(app, changes, upgrade=upgrade, dry_run=dry_run)


def _days(text: str) -> int:
    """Read `3d` or `2w`."""
    found = re.fullmatch(r"(\d{1,4})([dw])", text)
    if not found:
        raise click.BadParameter(f"{text!r} is not an age; expected days or weeks such as 3d or 2w")
    return int(found[1]) * (7 if found[2] == "w" else 1)


def _act(app: App, changes: LockChanges, *, upgrade: bool, dry_run: bool) -> None:
    if changes.lock.to_text() != app.lock.to_text() and not dry_run:
        files.write(app.root / LOCK_FILE, changes.lock.to_text())
    steps = list(pinned.steps(changes.moved))
    if upgrade:
        found = pinned.upgraded(app.catalog, steps, app.registry, app.output)
        show.rows(pinned.UPGRADED, found, app.output, pinned.SPARE)
    else:
        show.rows(pinned.COLUMNS, pinned.rows(app.catalog, steps), app.output, pinned.SPARE[:1])
    for key, reason in changes.held.items():
        show.note(f"{key}: held back: {reason}")
    for key in changes.waiting:
        show.note(f"{key}: a family that is not built yet; `dfgen build` pins it")
    for key in changes.unused:
        show.note(f"{key}: no image is built on it any more; removed")
    would = "would be " if dry_run else ""
    show.note(f"{LOCK_FILE}: {len(changes.lock.parents)} parents, {len(changes.moved)} {would}changed")
    if changes.failed:
        raise changes.failed
