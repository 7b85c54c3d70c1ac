"""`--annotations`: also write findings for GitHub, GitLab, or a SARIF reader."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from dfgen.catalog.model import CATALOG_FILE, TEMPLATES, Image
from dfgen.cli.app import App
from dfgen.errors import InputError, Place, Problem
from dfgen.filetree import files
from dfgen.findings import Finding, Level

_Command = TypeVar("_Command", bound=Callable[..., Any])


def options(command: _Command) -> _Command:
    """Add `--annotations` and `--annotations-file` to a command."""
    kind = click.Choice(["github", "gitlab", "sarif"])
    path = click.Path(dir_okay=False, path_type=Path)
    command = click.option(
        "--annotations-file", "target", type=path, metavar="FILE", help="File to write annotations to."
    )(command)
    return click.option("--annotations", type=kind, help="Also write findings in this format.")(command)


def check(annotations: str | None, target: Path | None) -> None:
    """Reject options that do not fit together, before any work is done."""
    if annotations in ("gitlab", "sarif") and not target:
        raise click.UsageError(f"--annotations {annotations} needs --annotations-file FILE")
    if target and not annotations:
        raise click.UsageError("--annotations-file needs --annotations github, gitlab or sarif")


@contextmanager
def errors(app: App, annotations: str | None, target: Path | None) -> Iterator[None]:
    """Write an InputError of the block as findings, for example of an invalid catalog, then raise it."""
    try:
        yield
    except InputError as error:
        if annotations:
            images = app.catalog.images if app.has_catalog else ()
            by_path = {str(image.dockerfile): image for image in images}
            found = [_finding(app, by_path, one) for one in error.problems]
            write(app, found, annotations, target)
        raise


def _finding(app: App, images: Mapping[str, Image], one: Problem) -> Finding:
    """Convert a problem; one in a rendered Dockerfile is placed at the template line, where to fix it."""
    place, generated = one.place or Place(CATALOG_FILE), None
    if image := images.get(place.file):
        from dfgen.commands.explain import template_lines

        lines = dict(enumerate(template_lines(app.catalog, app.lock, app.templates_for, image), start=1))
        place, generated = lines.get(place.line) or Place(f"{TEMPLATES}/{image.template}"), place
    return Finding(rule="bad-input", level=Level.ERROR, message=one.message, place=place, generated=generated)


def write(app: App, found: Sequence[Finding], annotations: str | None, target: Path | None) -> None:
    """Write findings in the requested format, to a file or to stderr, from where GitHub reads them."""
    if annotations is None:
        return
    text = _text(annotations, [_in_repository(app.root, one) for one in found])
    if target:
        files.write(target, text, durable=False)
    else:
        click.echo(text, err=True, nl=False)


def _text(annotations: str, found: Sequence[Finding]) -> str:
    from dfgen.exports import findings as formats

    if annotations == "github":
        return formats.github(found)
    if annotations == "gitlab":
        return formats.gitlab(found)
    return formats.sarif(found, click.get_current_context().info_name or "")


def _in_repository(root: Path, one: Finding) -> Finding:
    """Make a finding's file relative to the root of the repository that contains the catalog."""
    root = root.resolve()
    above = (folder for folder in (root, *root.parents) if (folder / ".git").exists())
    file = Path(os.path.relpath(root / one.place.file, next(above, Path.cwd()))).as_posix()
    return replace(one, place=replace(one.place, file=file))
