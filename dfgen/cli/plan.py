"""`dfgen plan`: what a build would do."""

from __future__ import annotations

import click

from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands.plan import foreseen
from dfgen.commands.plan.inputs import Plan
from dfgen.errors import CheckError, ExternalError, InputError, listing
from dfgen.workspace import DIST

COLUMNS = ("family", "version", "platform", "wave", "reason", "inputs")
TABLES = ("table", "json", "markdown")
BUILT_ELSEWHERE = ("bake", "github", "gitlab")  # from the Dockerfiles as they are
EXPORTS = ("mermaid", *BUILT_ELSEWHERE)
_NAMED = 3  # Dockerfiles, of those that are to be rendered


@click.command("plan")
@click.argument("select", nargs=-1)
@click.option(
    "--format", "output", type=click.Choice([*TABLES, *EXPORTS]), help="Print it so, or export it as that."
)
@click.option(
    "--runner",
    "runners",
    multiple=True,
    metavar="PLATFORM=LABEL",
    help="The runner of an architecture, for github and gitlab; may be given again.",
)
@click.option("--wave", type=click.IntRange(min=1), help="Only what can be built in this wave, for github.")
@click.pass_obj
def command(
    app: App, select: tuple[str, ...], output: str | None, runners: tuple[str, ...], wave: int | None
) -> None:
    """Show what a build would do, in order, and why: parents first, with those that are needed.

    Images of a wave need only what is in the waves before it.
    """
    if runners and output not in ("github", "gitlab"):
        raise InputError("--runner: is of --format github and --format gitlab alone; leave it out")
    if wave and output != "github":
        raise InputError("--wave: is of --format github alone; leave it out")
    plan, unrendered = foreseen(app.images(select), app.lock, app.planning, app.dockerfiles)
    if output in BUILT_ELSEWHERE and unrendered:
        raise CheckError(file.problem for file in unrendered)
    if output in EXPORTS:
        print(_export(app, plan, output, runners, wave or 0), end="")
    else:
        _table(plan, output or app.output)
        _nodes(app, plan)
    if unrendered:
        named = [file.path for file in unrendered[:_NAMED]]
        more = [f"{len(unrendered) - _NAMED} more"] if len(unrendered) > _NAMED else []
        show.note(f"to be rendered first, with `dfgen render`: {listing(named + more)}")
    if output == "bake":
        show.note(f"build it with `{_baking(plan)}`")
    if plan.needed and (app.catalog.sbom or app.catalog.lists_packages):
        by = app.catalog.sbom or "dfgen, from each image's package database"
        show.note(f"SBOMs by {by}")
    show.note(f"{len(plan.needed)} of {len(plan.steps)} images to build")


def _export(app: App, plan: Plan, output: str, runners: tuple[str, ...], wave: int) -> str:
    from dfgen.exports import bake, github, gitlab, graph

    if output == "bake":
        return bake.bake(plan, app.lock, app.catalog, f"{DIST}/bake")
    if output == "github":
        return github.github(plan, runners, wave)
    if output == "gitlab":
        return gitlab.gitlab(plan, runners)
    return graph.mermaid(plan)


def _baking(plan: Plan) -> str:
    from dfgen.exports.bake import wave_names

    return " && ".join(f"docker buildx bake -f FILE {wave}" for wave in wave_names(plan))


def _nodes(app: App, plan: Plan) -> None:
    """Name what would be emulated, and the nodes that would be left out."""
    try:
        checked = app.nodes.check(step.image.platform for step in plan.needed)
    except ExternalError as error:
        show.note(f"where it would be built is not known: {'; '.join(str(error).splitlines())}")
        return
    for text in (*checked.skipped, *checked.emulated):
        show.note(text)


def _table(plan: Plan, output: str) -> None:
    from dfgen.exports.ci import waves

    numbered = enumerate(waves(plan.needed), start=1)
    wave = {step.image.name: number for number, steps in numbered for step in steps}
    found = (
        (
            step.image.family.name,
            step.image.version,
            step.image.platform,
            wave.get(step.image.name),
            step.why,
            step.inputs.digest if step.inputs else None,
        )
        for step in plan.steps
    )
    # The hash of the inputs is for programs: it says nothing to a person.
    shown = len(COLUMNS) if output == "json" else len(COLUMNS) - 1
    show.rows(COLUMNS[:shown], (row[:shown] for row in found), output)
