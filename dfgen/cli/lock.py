"""`dfgen lock`: pin parents, move pins, or check them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from dfgen.catalog.lockfile import LOCK_FILE, Lock
from dfgen.catalog.model import Catalog
from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands import lock as stage
from dfgen.commands.lock import Facts, LockChanges, Moved, facts
from dfgen.filetree import files
from dfgen.oci.digest import Digest
from dfgen.oci.images import Puller
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference

if TYPE_CHECKING:
    from dfgen.registry import Quota, Registry

PIN_COLUMNS = ("parent", "platform", "old", "new", "rebuilds")
UPGRADED = (*PIN_COLUMNS, "size", "created")
SPARE = ("rebuilds", "created", "size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One platform's pin before and after; `old` is None where there was none."""

    key: str
    platform: Platform
    old: Digest | None
    new: Digest


def moved_steps(moved: Sequence[Moved]) -> Iterator[Step]:
    """List the pins that moved, and those that are new."""
    for one in moved:
        before = one.old.platforms if one.old else {}
        for platform, pin in one.new.platforms.items():
            if before.get(platform) != pin:
                old = before[platform].digest if platform in before else None
                yield Step(key=one.key, platform=platform, old=old, new=pin.digest)


def pin_rows(catalog: Catalog, found: Sequence[Step]) -> Iterator[tuple[object, ...]]:
    """Give the cells under COLUMNS, with the images that stand on each pin."""
    users: dict[tuple[str, Platform], dict[str, None]] = {}
    for image in catalog.images:
        for parent in image.all_parents:
            users.setdefault((parent.key, parent.platform), {})[image.name] = None
    for step in found:
        on_it = list(users.get((step.key, step.platform), ()))
        yield step.key, step.platform, step.old or "", step.new, on_it


def upgraded(
    catalog: Catalog, found: Sequence[Step], registry: Puller, output: str
) -> Iterator[tuple[object, ...]]:
    """Give the cells under UPGRADED; a registry is asked about pins that moved alone, not about new ones."""
    home = {one.key: catalog.mirrored(one.reference).repository for one in catalog.upstream_parents()}
    both = [
        (home[step.key], digest)
        for step in found
        if step.old and step.key in home
        for digest in (step.old, step.new)
    ]
    known = facts(both, registry)
    nothing = Facts()
    for step, row in zip(found, pin_rows(catalog, found), strict=True):
        old = known.get(step.old, nothing) if step.old else nothing
        new = known.get(step.new, nothing)
        if output == "json":
            size: object = {"old": old.size, "new": new.size}
            created: object = {"old": old.created, "new": new.created}
        elif step.old and step.key in home:
            size = f"{_size(old)} → {_size(new)}"
            created = f"{old.created or 'unknown'} → {new.created or 'unknown'}"
        else:
            size = created = ""
        yield *row, size, created


def _size(of: Facts) -> str:
    return "unknown" if of.size is None else show.size(of.size)


_FEW = 10  # parents of a registry for which it is not asked: a refusal comes as early as this would


def shortages(catalog: Catalog, lock: Lock, registry: Registry) -> Iterator[str]:
    """Say for which registries fewer pulls are left than there are parents without a pin.

    One HEAD, which is no pull, for a registry of which more than a few parents have to be read.
    """
    unread = {
        parent.key: catalog.mirrored(parent.reference)
        for parent in catalog.upstream_parents()
        if lock.pin(parent) is None
    }
    by_registry: dict[str, list[Reference]] = {}
    for _, reference in sorted(unread.items()):
        by_registry.setdefault(reference.repository.registry, []).append(reference)
    for host, references in by_registry.items():
        left = registry.fetch_quota(references[0]) if len(references) > _FEW else None
        if left and left.remaining < len(references):
            yield _told(host, left, len(references))


def _told(host: str, left: Quota, needed: int) -> str:
    window = f" per {left.window / 3600:g} h" if left.window else ""
    return (
        f"{host}: {left.remaining} of {left.limit} pulls{window} are left, {needed} parents have to be read;"
        " `docker login` there, wait, or name a mirror under mirrors in catalog.yaml"
    )


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
    steps = list(moved_steps(changes.moved))
    if upgrade:
        found = upgraded(app.catalog, steps, app.registry, app.output)
        show.rows(UPGRADED, found, app.output, SPARE)
    else:
        show.rows(PIN_COLUMNS, pin_rows(app.catalog, steps), app.output, SPARE[:1])
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
