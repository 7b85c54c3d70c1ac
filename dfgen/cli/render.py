"""`dfgen render`: write the Dockerfiles, or show what would change."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dfgen.catalog.model import BASES
from dfgen.cli import annotate
from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.errors import CheckError, Place, Problem, counted, listing
from dfgen.filetree import files
from dfgen.workspace.cache import RenderCache

if TYPE_CHECKING:
    from dfgen.commands.render import Rendering


@click.command("render")
@click.argument("select", nargs=-1)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file differs.")
@click.option(
    "--diff", is_flag=True, help="Write nothing; show the differences; exit with 1 if there are any."
)
@click.option("--force", is_flag=True, help="Overwrite files that were edited by hand.")
@annotate.options
@click.pass_obj
def command(
    app: App,
    select: tuple[str, ...],
    check: bool,
    diff: bool,
    force: bool,
    annotations: str | None,
    target: Path | None,
) -> None:
    """Write the Dockerfiles: one per architecture, with every parent pinned.

    Only files whose content changes are written. Files of versions that no longer exist are deleted.
    """
    annotate.check(annotations, target)
    if annotations and not (check or diff):
        raise click.UsageError("--annotations needs --check or --diff")
    remembered = RenderCache(app.root) if not select and not annotations else None
    if remembered and remembered.all_unchanged():
        count = len(remembered.existing)
        if not (check or diff):
            show.note(_summary(0, count, count))
        return
    with annotate.errors(app, annotations, target):
        rendering = _rendering(app, select)
    if check or diff:
        found = (*rendering.differing, *rendering.stale)
        annotate.write(app, [file.finding for file in found], annotations, target)
        _compare(app, rendering, diff=diff)
    else:
        _finish_merge(app)
        _write(app, rendering, force=force)
    if remembered and not rendering.waiting:
        remembered.keep({file.path: file.new for file in rendering.files if file.new is not None})


def _rendering(app: App, select: tuple[str, ...]) -> Rendering:
    """Render the selected images and compare them with their files on disk."""
    from dfgen.commands.render import render, unmerged_in
    from dfgen.workspace import in_one_family

    found = in_one_family(app, select)
    # A catalog of one family cannot check that a parent in another family exists.
    if found and not any(parent.family for image in found[1] for parent in image.all_parents):
        catalog, images = found
    else:
        catalog, images = app.catalog, app.images(select)
    if select:
        existing = files.dockerfiles(app.root, [image.path for image in images])
    else:
        existing = files.all_dockerfiles(app.root, BASES)
    return render(catalog, images, app.lock, app.templates_for, existing, partial(unmerged_in, app.root))


def _compare(app: App, rendering: Rendering, *, diff: bool) -> None:
    rejected = (*rendering.differing, *rendering.stale)
    for file in rejected if diff else ():
        for line in file.diff():
            click.secho(line, fg={"+": "green", "-": "red", "@": "cyan"}.get(line[:1]))
    _print_waiting(rendering)
    problems = [file.problem for file in rejected]
    if app.lock.is_merged:
        from dfgen.catalog.lockfile import LOCK_FILE

        message = "was merged by git, which left conflict markers; run `dfgen render`"
        problems.insert(0, Problem(Place(LOCK_FILE), message))
    if problems:
        raise CheckError(problems)


def _finish_merge(app: App) -> None:
    """Write the lock without the conflict markers that git left around new parents."""
    if app.lock.is_merged:
        from dfgen.catalog.lockfile import LOCK_FILE

        files.write(app.root / LOCK_FILE, app.lock.to_text())
        show.note(f"{LOCK_FILE}: merge finished")


def _write(app: App, rendering: Rendering, *, force: bool) -> None:
    from dfgen.commands.render import save

    writable = rendering.writable(force=force)
    lines: list[str] = []
    try:
        for file in save(writable, app.root):
            lines.append(f"{file.path}: {file.change.value if file.new is not None else 'removed'}")
    finally:  # also after an error, and in one write: thousands of single writes are slow
        show.notes(lines)
    unchanged = len(rendering.files) - len(rendering.differing)
    show.note(_summary(len(writable), len(rendering.files), unchanged))
    _print_waiting(rendering)
    written = {file.path for file in writable}
    if kept := [file for file in rendering.differing if file.path not in written]:
        raise CheckError(file.problem for file in kept)


def _summary(written: int, total: int, unchanged: int) -> str:
    return f"{written} of {counted(total, 'Dockerfile')} written, {unchanged} unchanged"


def _print_waiting(rendering: Rendering) -> None:
    for one in rendering.waiting:
        parents = listing(one.parents)
        show.note(f"{one.image.path}: waits for {parents} to be built; `dfgen build` pins and renders it")
