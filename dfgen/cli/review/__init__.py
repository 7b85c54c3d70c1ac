"""`dfgen review`: what a pull request changes, for the person who reviews it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from dfgen.catalog.model import Image, JinjaOptions
from dfgen.cli import annotate as annotating
from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.cli.review.json import data
from dfgen.cli.review.markdown import markdown
from dfgen.cli.review.terminal import tell
from dfgen.commands.explain import template_lines
from dfgen.commands.lint.parity import same
from dfgen.commands.plan.records import Records
from dfgen.commands.render import waits_for_family
from dfgen.commands.review import review
from dfgen.commands.review.records import Review, Sources
from dfgen.errors import ExitCode
from dfgen.findings import Finding
from dfgen.workspace import DIST, Workspace
from dfgen.workspace.snapshots import Sides


def parity(app: Workspace, images: Sequence[Image], rendered: Mapping[str, str]) -> tuple[Finding, ...]:
    """Find them; what is rendered already is not rendered again, and what is alike is not even parsed."""
    texts = {id(image): rendered[path] for image in images if (path := image.path) in rendered}
    unlike = [*_unlike(images, texts)]
    if not unlike:
        return ()
    # Most reviews have none, and lint brings along all that builds.
    from dfgen.commands.lint import arch_parity
    from dfgen.commands.lint.sources import lint_sources

    chosen = [image for version in unlike for image in version if not waits_for_family(image, app.lock)]
    if not chosen:
        return ()
    sources = lint_sources(app.catalog, app.lock, app.templates(JinjaOptions()), app.templates_for)

    def render(image: Image) -> str:
        """Take the text that the review has read; another is rendered."""
        return texts.get(id(image)) or sources.render(image)

    return arch_parity(chosen, replace(sources, render=render))


def _unlike(images: Sequence[Image], texts: Mapping[int, str]) -> Iterator[list[Image]]:
    """Yield the versions whose texts differ in more than names, or are not all known."""
    versions: dict[str, list[Image]] = {}
    for image in images:
        versions.setdefault(image.merged_name, []).append(image)
    for first, *others in versions.values():
        sides = [texts.get(id(image)) for image in (first, *others)]
        here = sides[0]
        for other, there in zip(others, sides[1:], strict=True):
            if here is None or there is None or not same(here, there, (first.platform, other.platform)):
                yield [first, *others]
                break


_ONLINE = "dfgen.online"


@click.command("review")
@click.argument("base", default="")
@click.argument("after", default="")
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@click.option(
    "--format", "output", type=click.Choice(["table", "json", "markdown"]), help="As before COMMAND."
)
@click.option(
    "--online",
    is_flag=True,
    expose_value=False,
    callback=lambda ctx, _, given: ctx.meta.update({_ONLINE: given}),
    help="Ask the registries what moved inside of the parents.",
)
@annotating.options
@click.pass_context
def command(
    ctx: click.Context,
    base: str,
    after: str,
    strict: bool,
    output: str | None,
    annotations: str | None,
    target: Path | None,
) -> None:
    """Say what changes from BASE to AFTER, for whom, and its risks; exit 1 when one is an error.

    BASE and AFTER are a git revision or a catalog's folder each. BASE is where this branch left the main one,
    AFTER the files as they are, unless they are named.
    """
    annotating.check(annotations, target)
    app: App = ctx.obj
    with TemporaryDirectory(prefix="dfgen-") as folder, annotating.errors(app, annotations, target):
        sides = Sides(app, Path(folder), (base, after))
        found = _review(sides, Records(app.root / DIST).past_seconds(), online=ctx.meta[_ONLINE])
    _print(found, output or app.output)
    annotating.write(app, found.risks, annotations, target)
    if found.fails(strict=strict):
        ctx.exit(ExitCode.CHECK_FAILED)


def _review(sides: Sides, past: Mapping[str, float], *, online: bool) -> Review:
    new = sides.after.app
    sources = Sources(
        templates=new.templates_for,
        parity=partial(parity, new),
        origins=lambda image: template_lines(new.catalog, new.lock, new.templates_for, image),
        seconds=past,
    )
    before, now = sides.read()
    if not online:
        return review(before, now, sources)
    from dfgen.commands.review.online import Asking

    asking = Asking(registry=new.registry, locks=(before.lock, now.lock))
    found = review(before, now, replace(sources, look=asking.look, resolve=asking.resolve))
    return replace(found, notes=(*found.notes, *asking.notes()))


def _print(found: Review, output: str) -> None:
    if output == "json":
        show.data(data(found))
    elif output == "markdown":
        print(markdown(found), end="")
    else:
        tell(found)
