"""`dfgen review`: what a pull request changes, for the person who reviews it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from dfgen.catalog.model import JinjaOptions
from dfgen.cli import annotate as annotating
from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.cli.review.json import data
from dfgen.cli.review.markdown import markdown
from dfgen.cli.review.terminal import print_review
from dfgen.commands.explain import template_lines
from dfgen.commands.plan.records import Records
from dfgen.commands.review import review
from dfgen.commands.review.records import Review, Sources
from dfgen.commands.review.risks.architectures import parity
from dfgen.errors import ExitCode
from dfgen.workspace import DIST, Workspace
from dfgen.workspace.snapshots import Snapshots

if TYPE_CHECKING:
    from dfgen.commands.lint.records import Sources as LintSources


@click.command("review")
@click.argument("base", default="")
@click.argument("after", default="")
@click.option("--strict", is_flag=True, help="Fail on warnings, too.")
@click.option(
    "--format",
    "output",
    type=click.Choice(["table", "json", "markdown"]),
    help="Same as the global --format; markdown is for a comment on a pull request.",
)
@click.option(
    "--online", is_flag=True, help="Query registries for changes inside parents and for moved tags."
)
@annotating.options
@click.pass_context
def command(  # noqa: PLR0913 (click passes each option as an argument)
    ctx: click.Context,
    base: str,
    after: str,
    *,
    strict: bool,
    output: str | None,
    online: bool,
    annotations: str | None,
    target: Path | None,
) -> None:
    """Show what changes from BASE to AFTER, the images to build, and risks; exit 1 if a risk is an error.

    BASE and AFTER are each a git revision or a folder with a catalog. By default, BASE is the commit at which
    this branch left the main branch, and AFTER is the current files.
    """
    annotating.check(annotations, target)
    app: App = ctx.obj
    with TemporaryDirectory(prefix="dfgen-") as folder, annotating.errors(app, annotations, target):
        found = _review(app, Snapshots(app, Path(folder), (base, after)), online=online)
    _print(found, output or app.output)
    annotating.write(app, found.risks, annotations, target)
    if found.fails(strict=strict):
        ctx.exit(ExitCode.CHECK_FAILED)


def _review(app: App, snapshots: Snapshots, *, online: bool) -> Review:
    new = snapshots.after.workspace
    seconds = Records(app.root / DIST).past_seconds()
    before, after = snapshots.read()
    sources = Sources(
        templates=new.templates_for,
        parity=partial(parity, sources=partial(_lint_sources, new)),
        origins=lambda image: template_lines(new.catalog, new.lock, new.templates_for, image),
        seconds=seconds,
        today=app.today,
    )
    if not online:
        return review(before, after, sources)
    from dfgen.commands.review.online import ParentQueries

    queries = ParentQueries(registry=new.registry, locks=(before.lock, after.lock))
    found = review(before, after, replace(sources, inspect=queries.inspect, resolve=queries.resolve))
    return replace(found, notes=(*found.notes, *queries.notes()))


def _lint_sources(workspace: Workspace) -> LintSources:
    from dfgen.commands.lint.sources import lint_sources  # loads the engine; most reviews do not need lint

    templates = workspace.templates(JinjaOptions())
    return lint_sources(workspace.catalog, workspace.lock, templates, workspace.templates_for)


def _print(found: Review, output: str) -> None:
    if output == "json":
        show.data(data(found))
    elif output == "markdown":
        print(markdown(found), end="")
    else:
        print_review(found)
