"""`--annotations`: what a command finds, written for GitHub, GitLab or SARIF readers too."""

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
        "--annotations-file", "target", type=path, metavar="FILE", help="Where to write annotations."
    )(command)
    return click.option("--annotations", type=kind, help="Write findings for this reader too.")(command)


def check(annotations: str | None, target: Path | None) -> None:
    """Refuse options that do not fit each other, before any work is done."""
    if annotations in ("gitlab", "sarif") and not target:
        raise click.UsageError(f"--annotations {annotations} is a document; give --annotations-file FILE too")
    if target and not annotations:
        raise click.UsageError("--annotations-file needs --annotations github, gitlab or sarif")


@contextmanager
def errors(app: App, annotations: str | None, target: Path | None) -> Iterator[None]:
    """Write what keeps a command from its work as findings: a catalog or template that cannot be read."""
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
    """Put a problem where it is mended: of a Dockerfile that could not be written at the template's line."""
    place, generated = one.place or Place(CATALOG_FILE), None
    if image := images.get(place.file):
        from dfgen.commands.explain import template_lines

        lines = dict(enumerate(template_lines(app.catalog, app.lock, app.templates_for, image), start=1))
        place, generated = lines.get(place.line) or Place(f"{TEMPLATES}/{image.template}"), place
    return Finding(rule="bad-input", level=Level.ERROR, message=one.message, place=place, generated=generated)


def write(app: App, found: Sequence[Finding], annotations: str | None, target: Path | None) -> None:
    """Write findings as asked; GitHub reads its own from the output where no file is named."""
    if annotations is None:
        return
    text = _text(annotations, [_named(app.root, one) for one in found])
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


def _named(root: Path, one: Finding) -> Finding:
    """Name a finding's file from the root of the repository, wherever in it the catalog is."""
    root = root.resolve()
    above = (folder for folder in (root, *root.parents) if (folder / ".git").exists())
    file = Path(os.path.relpath(root / one.place.file, next(above, Path.cwd()))).as_posix()
    return replace(one, place=replace(one.place, file=file))
