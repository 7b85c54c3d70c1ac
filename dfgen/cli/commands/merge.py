"""`dfgen merge`: bind tags that are in a registry."""

from __future__ import annotations

import click

from dfgen.cli import show
from dfgen.cli.app import App
from dfgen.images.binding import Rules
from dfgen.stages.merge import Merging, merge_published
from dfgen.values.digest import Digest
from dfgen.values.reference import Reference


@click.command("merge")
@click.argument("target", metavar="NAME:TAG")
@click.argument("children", metavar="CHILD...", nargs=-1, required=True)
@click.option("--expect", metavar="DIGEST", help="Fail unless the tag has this digest now.")
@click.option("--drop", is_flag=True, help="Allow that platforms which the tag has now are lost.")
@click.option("--architecture-independent", is_flag=True, help="Allow architectures with the same layers.")
@click.option("--dry-run", is_flag=True, help="Say which digest the tag will have; write nothing.")
@click.pass_obj
def command(
    app: App,
    target: str,
    children: tuple[str, ...],
    expect: str | None,
    drop: bool,
    architecture_independent: bool,
    dry_run: bool,
) -> None:
    """Bind images that are published, one for each platform, under one tag.

    A CHILD is a tag or digest, of any registry; an index gives all its images, with their attestations.
    """
    how = Merging(
        registry=app.registry,
        rules=Rules(architecture_independent=architecture_independent, drop=drop),
        expect=Digest(expect) if expect else None,
        dry_run=dry_run,
    )
    merged = merge_published(Reference.parse(target), [Reference.parse(child) for child in children], how)
    rows = ((entry.platform, entry.digest, entry.size) for entry in merged.index.images)
    show.rows(("platform", "digest", "size"), rows, app.output)
    state = ("would change" if dry_run else "changed") if merged.changed else "unchanged"
    show.note(f"{merged.name}: {merged.digest} ({state})")
