"""`dfgen lock`: pin parents, move pins, or check them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import click

from dfgen.catalog.lockfile import LOCK_FILE
from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands import lock as locking
from dfgen.commands import moved, sightings
from dfgen.commands.lock import LockChanges, Locking
from dfgen.commands.moved import ImageFacts, PinChange
from dfgen.errors import counted
from dfgen.oci.images import Once, Puller
from dfgen.workspace import DIST

PIN_COLUMNS = ("parent", "platform", "old", "new", "rebuilds")
UPGRADE_COLUMNS = (*PIN_COLUMNS, "size", "created")
SPARE = ("rebuilds", "created", "size")


@click.command("lock")
@click.option("--upgrade", is_flag=True, help="Move the pins of all parents, or of the named ones.")
@click.option("--uneven", is_flag=True, help="Move the PARENTs even if only some architectures moved.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a parent has moved or has no pin.")
@click.option("--dry-run", is_flag=True, help="Show what would be locked; write nothing.")
@click.option(
    "--min-age",
    metavar="DAYS",
    callback=lambda _ctx, _option, text: _days(text) if text else 0,
    help="With --upgrade: move to images that are at least this old (3d, 2w).",
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

    Existing pins stay until --upgrade moves them; name PARENTs to move only those.
    If only some architectures of a parent moved, it is held back, unless --uneven is given.
    With --min-age, a new image is pinned once it is old enough, even if the tag has moved on by then.
    """
    _check_usage(parents, upgrade=upgrade, uneven=uneven, check=check, dry_run=dry_run, min_age=min_age)
    how = Locking(
        registry=app.registry,
        puller=Once(app.registry),
        today=app.today,
        uneven=uneven,
        min_age=min_age,
        seen={} if check else sightings.read(app.root / DIST),
        built=app.built,
    )
    if check:
        locking.check(app.catalog, app.lock, how)
        show.note(f"{LOCK_FILE}: all pins exist and match their tags")
        return
    if not parents:
        show.notes(locking.quota_warnings(app.catalog, app.lock, app.registry))
    changes = (
        locking.upgrade(app.catalog, app.lock, how, parents)
        if upgrade
        else locking.lock(app.catalog, app.lock, how)
    )
    if not dry_run:
        locking.write(app.root, app.lock, changes.lock)
        sightings.write(app.root / DIST, how.seen, changes.seen)
    _show_pins(app, changes, how.puller, upgrade=upgrade)
    _show_notes(changes, dry_run=dry_run)
    if changes.failed:
        raise changes.failed


def _days(text: str) -> int:
    found = re.fullmatch(r"(\d{1,4})([dw])", text)
    if not found:
        raise click.BadParameter(f"{text!r} is not an age; use days or weeks, for example 3d or 2w")
    return int(found[1]) * (7 if found[2] == "w" else 1)


def _check_usage(
    parents: Sequence[str], *, upgrade: bool, uneven: bool, check: bool, dry_run: bool, min_age: int
) -> None:
    if parents and not upgrade:
        raise click.UsageError("PARENT requires --upgrade")
    if uneven and not parents:
        raise click.UsageError("--uneven requires --upgrade PARENT; name the parents to move")
    if check and (upgrade or dry_run):
        raise click.UsageError("--check cannot be combined with --upgrade or --dry-run")
    if min_age and not upgrade:
        raise click.UsageError("--min-age requires --upgrade; parents without a pin are pinned immediately")


def _show_pins(app: App, changes: LockChanges, puller: Puller, *, upgrade: bool) -> None:
    pins = moved.pin_changes(app.catalog, changes.moved)
    if upgrade:
        pins = moved.with_facts(app.catalog, pins, puller)
        show.rows(UPGRADE_COLUMNS, _upgrade_rows(pins, app.output), app.output, SPARE)
        show.notes(moved.older_pins(pins))
    else:
        show.rows(PIN_COLUMNS, map(_pin_row, pins), app.output, SPARE[:1])


def _pin_row(pin: PinChange) -> tuple[object, ...]:
    return pin.key, pin.platform, pin.old or "", pin.new, list(pin.rebuilds)


def _upgrade_rows(pins: Iterable[PinChange], output: str) -> Iterator[tuple[object, ...]]:
    for pin in pins:
        size: object = ""
        created: object = ""
        if output == "json":
            old, new = pin.facts or (ImageFacts(), ImageFacts())
            size = {"old": old.size, "new": new.size}
            created = {"old": old.day or None, "new": new.day or None}
        elif pin.facts:
            size = " → ".join(_size(facts) for facts in pin.facts)
            created = " → ".join(facts.day or "unknown" for facts in pin.facts)
        yield *_pin_row(pin), size, created


def _size(facts: ImageFacts) -> str:
    return "unknown" if facts.size is None else show.size(facts.size)


def _show_notes(changes: LockChanges, *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    show.notes(f"{key}: held back: {reason}" for key, reason in changes.held.items())
    show.notes(f"{key}: not built yet; run `dfgen build` to pin it" for key in changes.unbuilt)
    show.notes(f"{key}: unused pin {would}removed" for key in changes.removed)
    show.notes(f"{key}: unused pin kept until all parents are pinned" for key in changes.kept)
    removed = f", {len(changes.removed)} {would}removed" if changes.removed else ""
    parents = counted(len(changes.lock.parents), "parent")
    show.note(f"{LOCK_FILE}: {parents}, {len(changes.moved)} {would}changed{removed}")
