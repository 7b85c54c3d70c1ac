"""`dfgen plan`: what a build would do."""

from __future__ import annotations

import click

from dfgen.cli import show
from dfgen.cli.app import App
from dfgen.cli.workshop import Workshop

COLUMNS = ("family", "version", "platform", "reason", "inputs")


@click.command("plan")
@click.argument("select", nargs=-1)
@click.pass_obj
def command(app: App, select: tuple[str, ...]) -> None:
    """Show what a build would do, in order, and why: parents first, with those that are needed."""
    plan = Workshop(app).plan(app.images(select))
    found = (
        (
            step.image.family.name,
            step.image.version,
            step.image.platform,
            step.why,
            step.inputs.digest if step.inputs else None,
        )
        for step in plan.steps
    )
    # The hash of the inputs is for programs: it says nothing to a person.
    shown = len(COLUMNS) if app.output == "json" else len(COLUMNS) - 1
    show.rows(COLUMNS[:shown], (row[:shown] for row in found), app.output)
    show.note(f"{len(plan.needed)} of {len(plan.steps)} images to build")
