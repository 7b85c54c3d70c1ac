"""`dfgen render`: write the Dockerfiles, or say what would change."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dfgen.catalog.model import BASES
from dfgen.cli import annotate as annotating
from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.errors import CheckError, Place
from dfgen.filetree import files
from dfgen.findings import Finding, Level
from dfgen.workspace.cache import RenderCache

if TYPE_CHECKING:
    from dfgen.commands.render import File, Rendering


@click.command("render")
@click.argument("select", nargs=-1)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when a file differs.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change; exit 1 if anything.")
@click.option("--force", is_flag=True, help="Overwrite files that were edited by hand.")
@annotating.options
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
    """Write the Dockerfiles of the catalog, one per architecture, with every parent pinned."""
    annotating.check(annotations, target)
    if annotations and not (check or diff):
        raise click.UsageError("--annotations needs --check or --diff")
    remembered = RenderCache(app.root) if not select and not annotations else None
    if remembered and remembered.all_unchanged():
        count = len(remembered.existing)
        if not (check or diff):
            show.note(_summary(0, count, count))
        return
    with annotating.errors(app, annotations, target):
        rendering = _rendering(app, select)
    if check or diff:
        annotating.write(app, [*_findings(rendering)], annotations, target)
        _look(rendering, diff=diff)
    else:
        _write(app, rendering, force=force)
    if remembered and not rendering.waiting:
        remembered.keep({file.path: file.new for file in rendering.files if file.new is not None})


def _rendering(app: App, select: tuple[str, ...]) -> Rendering:
    """Render the images in question, beside the files that are there: with SELECT, theirs alone."""
    from dfgen.commands.render import render
    from dfgen.workspace import in_one_family

    found = in_one_family(app, select)
    # A parent in the catalog may not be there: the whole catalog tells.
    if found and not any(parent.family for image in found[1] for parent in image.all_parents):
        catalog, images = found
    else:
        catalog, images = app.catalog, app.images(select)
    if select:
        existing = files.dockerfiles(app.root, [image.path for image in images])
    else:
        existing = files.all_dockerfiles(app.root, BASES)
    return render(catalog, images, app.lock, app.templates_for, existing)


def _findings(rendering: Rendering) -> Iterator[Finding]:
    """Say what is wrong at the first line that differs."""
    for file in rendering.differing:
        place = Place(file.path, _first(file))
        yield Finding(rule="not-rendered", level=Level.ERROR, message=file.problem.message, place=place)


def _first(file: File) -> int:
    """Find the first line that differs; the seal differs with any other. It is 0 where there is no file."""
    old, new = (file.old or "").splitlines(), (file.new or "").splitlines()
    pairs = enumerate(zip_longest(old, new), start=1)
    lines = [at for at, (a, b) in pairs if a != b and not (a or "").startswith("# dfgen:")]
    return min(lines[0] if lines else 1, len(old))


def _look(rendering: Rendering, *, diff: bool) -> None:
    for file in rendering.differing if diff else ():
        for line in file.diff():
            click.secho(line, fg={"+": "green", "-": "red", "@": "cyan"}.get(line[:1]))
    _waiting(rendering)
    if rendering.differing:
        raise CheckError(file.problem for file in rendering.differing)


def _write(app: App, rendering: Rendering, *, force: bool) -> None:
    writable = rendering.writable(force=force)
    done: list[str] = []
    try:
        for file in writable:
            if file.new is None:
                files.remove(app.root / file.path)
            else:
                files.write(app.root / file.path, file.new, durable=False)
            done.append(f"{file.path}: {file.change.value if file.new is not None else 'removed'}")
    finally:  # in one piece: a line each of thousands takes its time
        show.notes(done)
    unchanged = len(rendering.files) - len(rendering.differing)
    show.note(_summary(len(writable), len(rendering.files), unchanged))
    _waiting(rendering)
    written = {file.path for file in writable}
    if kept := [file for file in rendering.differing if file.path not in written]:
        raise CheckError(file.problem for file in kept)


def _summary(written: int, total: int, unchanged: int) -> str:
    return f"{written} of {total} Dockerfiles written, {unchanged} unchanged"


def _waiting(rendering: Rendering) -> None:
    for image in rendering.waiting:
        parents = " and ".join(parent.key for parent in image.all_parents if parent.family)
        show.note(f"{image.dockerfile}: waits for {parents} to be built; `dfgen build` pins and renders it")
