"""`dfgen lint`: check templates, the catalog and the rendered Dockerfiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Image, JinjaOptions
from dfgen.cli import annotate
from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands.lint import Linted, lint
from dfgen.commands.lint.sources import buildkit_hits, lint_sources
from dfgen.commands.render import unbuilt, waits_for_family
from dfgen.engine import hadolint
from dfgen.errors import ExitCode, counted, listing
from dfgen.findings import Level

COLUMNS = ("level", "rule", "place", "message", "generated")
_COLOURS = {Level.ERROR: "red", Level.WARNING: "yellow"}


@click.command("lint")
@click.argument("select", nargs=-1)
@click.option("--strict", is_flag=True, help="Exit with 1 on warnings too.")
@click.option(
    "--buildkit", is_flag=True, help="Also run BuildKit's own checks; needs an engine and the parents."
)
@annotate.options
@click.pass_context
def command(
    ctx: click.Context,
    select: tuple[str, ...],
    strict: bool,
    buildkit: bool,
    annotations: str | None,
    target: Path | None,
) -> None:
    """Check templates, the catalog, and the Dockerfiles they render. Exits with 1 if there is an error.

    Also runs hadolint if it is installed. To switch a rule off, add it to base.yaml with a reason:
    `lint: {ignore: {RULE: reason}}`.
    """
    annotate.check(annotations, target)
    app: App = ctx.obj
    with annotate.errors(app, annotations, target):
        images = app.images(select)
        ready = [image for image in images if not waits_for_family(image, app.lock)]
        sources = lint_sources(app.catalog, app.lock, app.templates(JinjaOptions()), app.templates_for)
        if buildkit:
            check = partial(buildkit_hits, ready, app.lock, app.catalog, app.buildx)
            sources = replace(sources, buildkit=check)
        linted = lint(
            images, app.catalog.images, sources, is_complete=not select, today=app.today, strict=strict
        )
    _print(linted, app.output)
    for note in _notes(linted, _waiting(images, app.lock, buildkit=buildkit), buildkit=buildkit):
        show.note(note)
    annotate.write(app, linted.findings, annotations, target)
    if linted.fails(strict=strict):
        ctx.exit(ExitCode.CHECK_FAILED)
    if linted.unchecked:  # "could not check" is not "no errors"
        ctx.exit(ExitCode.ENVIRONMENT)


def _print(linted: Linted, output: str) -> None:
    if output == "table":
        for one in linted.findings:
            click.secho(str(one), fg=_COLOURS.get(one.level))
        return
    cells = ((one.level, one.rule, one.place, one.message, one.generated) for one in linted.findings)
    show.rows(COLUMNS, ([str(cell or "") for cell in row] for row in cells), output)


def _notes(linted: Linted, waiting: Iterable[str], *, buildkit: bool) -> Iterator[str]:
    counts = Counter(one.level for one in linted.findings)
    found = ", ".join(counted(counts[level], level) for level in Level)
    yield f"{counted(linted.files, 'Dockerfile')}: {found}"
    yield from waiting
    yield from _unchecked(linted)
    missing = [] if hadolint.installed() else ["hadolint (not installed)"]
    missing += [] if buildkit else ["BuildKit's checks (`dfgen lint --buildkit`)"]
    if missing:
        yield f"not run: {listing(missing)}"


def _unchecked(linted: Linted) -> Iterator[str]:
    """Name the Dockerfiles that BuildKit could not check, once for each reason."""
    reasons: dict[str, list[str]] = {}
    for one in linted.unchecked:
        reasons.setdefault("; ".join(one.message.splitlines()), []).append(str(one.place))
    for reason, paths in reasons.items():
        yield f"not checked by BuildKit: {listing(paths)}: {reason}"


def _waiting(images: Sequence[Image], lock: Lock, *, buildkit: bool) -> Iterator[str]:
    """Say which Dockerfiles were checked before they can be rendered, so without a digest in FROM."""
    waiting = {image.path: unbuilt(image, lock) for image in images if waits_for_family(image, lock)}
    if waiting:
        parents = dict.fromkeys(key for keys in waiting.values() for key in keys)
        many = f"{len(waiting)} Dockerfiles wait" if len(waiting) > 1 else f"{next(iter(waiting))} waits"
        yield f"{many} for {listing(parents)} to be built: checked, apart from the digest in FROM"
    if waiting and buildkit:
        yield f"not checked by BuildKit, because a parent is not built yet: {listing(waiting)}"
