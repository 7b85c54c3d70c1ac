"""`dfgen build`: build, test and merge the images of the reviewed Dockerfiles."""

from __future__ import annotations

from collections.abc import Iterable

import click

from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.cli.progress import duration, progress
from dfgen.commands.building import build, plan_build
from dfgen.commands.building.run import PackagesMoved, Result, Run, State
from dfgen.errors import visible

COLUMNS = ("family", "version", "architecture", "state", "digest", "size", "seconds")


jobs_option = click.option(
    "-j",
    "--jobs",
    type=click.IntRange(min=1),
    help="Concurrent builds, on all nodes together. Default: two per core.",
)


@click.command("build")
@click.argument("select", nargs=-1)
@jobs_option
@click.option(
    "--locked",
    is_flag=True,
    help="Fail if a build would move the pin of a family, or locked packages (for CI).",
)
@click.option("--no-cache", is_flag=True, help="Rebuild all selected images, without BuildKit's cache.")
@click.option(
    "--twice", is_flag=True, help="Check that images are reproducible: build them again and compare."
)
@click.option(
    "--cache-from-registry",
    is_flag=True,
    help="Download images that were published with the same inputs instead of building them.",
)
@click.pass_context
def command(
    ctx: click.Context,
    select: tuple[str, ...],
    jobs: int | None,
    locked: bool,
    no_cache: bool,
    twice: bool,
    cache_from_registry: bool,
) -> None:
    """Build images that are not up to date into dist/, run their smoke tests, and merge their versions."""
    app: App = ctx.obj
    plan, rendered = plan_build(app.images(select), app.lock, app.planning, app.dockerfiles, locked=locked)
    show.notes(rendered)
    plan = plan.again() if no_cache or twice else plan
    slots, notes = app.prepare_nodes(plan, jobs or 0)
    show.notes(notes)
    with progress(plan.needed) as report:
        how = app.building(
            slots,
            report,
            locked=locked,
            no_cache=no_cache,
            twice=twice,
            published=app.published if cache_from_registry else None,
        )
        run = build(plan, app.lock, how)
    _show(app, run)
    if run.interrupted:
        raise click.Abort
    ctx.exit(run.exit_code)


def _show(app: App, run: Run) -> None:
    place = {image.name: position for position, image in enumerate(app.catalog.images)}
    in_order = sorted(run.results, key=lambda result: place[result.image.name])
    found = [_row(result, app.output) for result in in_order]
    show.rows(COLUMNS, found, app.output, spare=("size",))
    show_notes(run, run.packages)


def show_notes(run: Run, packages: Iterable[PackagesMoved]) -> None:
    """Print what failed, with the end of its log, the package locks that were written, and a summary."""
    for result in run.results:
        if result.state in (State.FAILED, State.INTERRUPTED) and result.error:
            show.notes(f"    {visible(text)}" for text in result.error.excerpt)
            show.note(visible(str(result.error)) + (f"; log: {result.log}" if result.log else ""))
    show.notes(map(str, run.errors))
    show.notes(run.sbom_notes)
    show.notes(map(str, packages))
    show.notes(f"{name}: {digest}" for name, digest in sorted(run.merged.items()))
    summary = ", ".join(f"{number} {state}" for state, number in run.counts.items())
    show.note(f"{summary or 'nothing to build'} in {duration(run.seconds)}")


def _row(result: Result, output: str) -> tuple[object, ...]:
    image = result.image
    size = result.size if output == "json" else show.size(result.size) if result.size else ""
    seconds = round(result.seconds, 1) if result.state in (State.BUILT, State.TAKEN) else None
    architecture = image.platform.row.tag
    return (image.family.name, image.version, architecture, result.state, result.digest, size, seconds)
