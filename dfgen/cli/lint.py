"""`dfgen lint`: templates, catalog and rendered files against the rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from dfgen.catalog.model import Image, JinjaOptions
from dfgen.catalog.variables import PinnedParent, template_variables
from dfgen.cli import annotate as annotating
from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands import plan as planning
from dfgen.commands.explain import template_lines
from dfgen.commands.lint import Linted, Sources, lint
from dfgen.commands.lint.dockerfile import unpinned_from
from dfgen.commands.lint.records import Hit
from dfgen.commands.plan.inputs import build_request
from dfgen.commands.render import render_unchecked
from dfgen.dockerfile import parse
from dfgen.engine import buildx as buildcheck
from dfgen.engine import hadolint
from dfgen.engine.process import Processes
from dfgen.errors import ExitCode, InputError, listing
from dfgen.findings import Level
from dfgen.workspace import Workspace

COLUMNS = ("level", "rule", "place", "message", "generated")
_COLOURS = {Level.ERROR: "red", Level.WARNING: "yellow"}


@click.command("lint")
@click.argument("select", nargs=-1)
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@click.option(
    "--buildkit", is_flag=True, help="Run BuildKit's own checks too; needs an engine and the parents."
)
@annotating.options
@click.pass_context
def command(
    ctx: click.Context,
    select: tuple[str, ...],
    strict: bool,
    buildkit: bool,
    annotations: str | None,
    target: Path | None,
) -> None:
    """Check templates, catalog and what they render; exit 1 when an error is found.

    hadolint is run too where it is installed. A rule is switched off in base.yaml, with the reason:
    `lint: {ignore: {RULE: why}}`.
    """
    annotating.check(annotations, target)
    app: App = ctx.obj
    with annotating.errors(app, annotations, target):
        images = app.images(select)
        ready = [image for image in images if not waits(app, image)]
        sources = lint_sources(app)
        if buildkit:
            sources = replace(sources, buildkit=partial(_buildkit, app, ready))
        linted = lint(ready, app.catalog.images, sources, whole=not select)
    _print(linted, app.output)
    for note in _notes(linted, len(images) - len(ready), buildkit=buildkit):
        show.note(note)
    annotating.write(app, linted.findings, annotations, target)
    if linted.fails(strict=strict):
        ctx.exit(ExitCode.CHECK_FAILED)


def _render(app: Workspace, image: Image) -> str:
    """Render an image. One that uses images without a pin is kept if a rule reports them, with their line."""
    rendered = render_unchecked(app.catalog, image, app.lock, app.templates_for(image))
    try:
        rendered.check()
    except InputError:
        if not any(unpinned_from(parse(rendered.text, image.path))):
            raise
    return rendered.text


def _names(app: Workspace, image: Image) -> Collection[str]:
    """The names of all that a template may read; what a parent is pinned to is no part of that."""
    parent = PinnedParent(image.parent.reference, image.parent.platform)
    return template_variables(app.catalog, image, {"parent": parent}).keys()


def _hadolint(texts: Mapping[str, str]) -> Iterator[tuple[str, Hit, Level]]:
    for path, code, level, message, line in hadolint.check(Processes(), texts):
        yield path, Hit(rule=code, message=message, line=line), level


def _buildkit(app: App, images: Sequence[Image]) -> Iterator[tuple[str, Hit, Level]]:
    chosen = {image.name for image in images}
    plan = planning.plan(images, app.lock, app.planning)
    steps = [step for step in plan.steps if step.image.name in chosen]
    requests = [build_request(step, app.lock, app.catalog, Path()) for step in steps]
    nodes = app.nodes.check(request.platform for request in requests).usable
    placed = [replace(one, node=next(iter(nodes[one.platform]))) for one in requests]
    for path, code, level, message, line in buildcheck.check(app.buildx, placed):
        yield path, Hit(rule=code, message=message, line=line), level


def lint_sources(app: Workspace) -> Sources:
    """What lint works with, but for BuildKit."""
    templates = app.templates(JinjaOptions())
    return Sources(
        render=partial(_render, app),
        origins=partial(template_lines, app.catalog, app.lock, app.templates_for),
        variables=partial(_names, app),
        usages=templates.usages(),
        functions=templates.functions,
        hadolint=_hadolint if hadolint.installed() else None,
    )


def waits(app: Workspace, image: Image) -> bool:
    """Whether an image is built on a family that is not pinned yet."""
    return any(parent.family and app.lock.pin(parent) is None for parent in image.all_parents)


def _print(linted: Linted, output: str) -> None:
    if output == "table":
        for one in linted.findings:
            click.secho(str(one), fg=_COLOURS.get(one.level))
        return
    cells = ((one.level, one.rule, one.place, one.message, one.generated) for one in linted.findings)
    show.rows(COLUMNS, ([str(cell or "") for cell in row] for row in cells), output)


def _notes(linted: Linted, waiting: int, *, buildkit: bool) -> Iterator[str]:
    counts = Counter(one.level for one in linted.findings)
    found = ", ".join(f"{counts[level]} {level}{'s' if counts[level] != 1 else ''}" for level in Level)
    yield f"{linted.files} Dockerfiles: {found}"
    if waiting:
        wait = "1 Dockerfile waits" if waiting == 1 else f"{waiting} Dockerfiles wait"
        was = "was" if waiting == 1 else "were"
        yield f"{wait} for a family to be built, and {was} not looked at"
    missing = [] if hadolint.installed() else ["hadolint (it is not installed)"]
    missing += [] if buildkit else ["the checks of BuildKit (`dfgen lint --buildkit`)"]
    if missing:
        yield f"not run: {listing(missing)}"
