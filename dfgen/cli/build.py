"""`dfgen build`: images that are exactly what the Dockerfiles say."""

from __future__ import annotations

import click

from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.cli.progress import duration, progress
from dfgen.commands.building import build, reviewed
from dfgen.commands.building.run import Result, Run, State
from dfgen.engine.cleanup import sweep
from dfgen.workspace import DIST

COLUMNS = ("family", "version", "architecture", "state", "digest", "size", "seconds")


@click.command("build")
@click.argument("select", nargs=-1)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(min=1),
    help="Builds at once, on all nodes. Default: twice their cores.",
)
@click.option("--locked", is_flag=True, help="Fail when a build would move the pin of a family (CI).")
@click.option("--no-cache", is_flag=True, help="Build all that is selected again, without BuildKit's cache.")
@click.option(
    "--twice", is_flag=True, help="Build all that is selected, and again without cache, and compare."
)
@click.option(
    "--cache-from-registry",
    is_flag=True,
    help="Take images that were published with the same inputs, instead of building them.",
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
    """Build what is not up to date into the layout dist/, test it on its architecture, and merge it."""
    app: App = ctx.obj
    plan, rendered = reviewed(app.images(select), app.lock, app.planning, app.dockerfiles, locked=locked)
    for text in rendered:
        show.note(text)
    plan = plan.again() if no_cache or twice else plan
    checked = app.nodes.check(step.image.platform for step in plan.needed)
    # An engine that does not answer now is swept by a later run.
    swept = sweep(app.root / DIST, app.nodes).summary()
    for text in filter(None, (*checked.skipped, *checked.emulated, swept)):
        show.note(text)
    # A parent that moves in this run may have images built that the plan did not ask for.
    others = {step.image.platform: app.nodes.for_platform(step.image.platform) for step in plan.steps}
    with progress(plan.needed) as report:
        how = app.building(
            checked.slots(jobs or 0, others),
            report,
            locked=locked,
            no_cache=no_cache,
            twice=twice,
            published=app.published if cache_from_registry else None,
        )
        run = build(plan, app.lock, how)
    _show(app, run)
    if run.broken:
        raise click.Abort
    ctx.exit(run.exit_code)


def _show(app: App, run: Run) -> None:
    place = {image.name: position for position, image in enumerate(app.catalog.images)}
    in_order = sorted(run.results, key=lambda result: place[result.image.name])
    found = [_row(result, app.output) for result in in_order]
    show.rows(COLUMNS, found, app.output, spare=("size",))
    for result in run.results:
        if result.state is State.FAILED and result.error:
            for text in result.tail:
                show.note(f"    {text}")
            show.note(f"{result.error}" + (f"; its log is {result.log}" if result.log else ""))
    for error in run.errors:
        show.note(str(error))
    for text in run.bills:
        show.note(text)
    for name, digest in sorted(run.merged.items()):
        show.note(f"{name}: {digest}")
    count = {state: sum(1 for one in run.results if one.state is state) for state in State}
    summary = ", ".join(f"{number} {state}" for state, number in count.items() if number)
    show.note(f"{summary or 'nothing to build'} in {duration(run.seconds)}")


def _row(result: Result, output: str) -> tuple[object, ...]:
    image = result.image
    size = result.size if output == "json" else show.size(result.size) if result.size else ""
    seconds = round(result.seconds, 1) if result.state in (State.BUILT, State.TAKEN) else None
    architecture = image.platform.row.tag
    return (image.family.name, image.version, architecture, result.state, result.digest, size, seconds)
