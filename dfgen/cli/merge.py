"""`dfgen merge`: bind tags that are in a registry."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands.merge import Entry, Merged, Merging, Rules, merge_published, merge_several, read_list
from dfgen.oci.digest import Digest
from dfgen.oci.reference import Reference

COLUMNS = ("tag", "state", "digest", "platforms")


@click.command("merge")
@click.argument("words", metavar="[NAME:TAG CHILD...]", nargs=-1)
@click.option("--from", "source", metavar="FILE", help="Merge each line of a file (- is standard input).")
@click.option("--expect", metavar="DIGEST", help="Fail unless the tag has this digest now.")
@click.option("--drop", is_flag=True, help="Allow that platforms which the tag has now are lost.")
@click.option("--architecture-independent", is_flag=True, help="Allow architectures with the same layers.")
@click.option("--dry-run", is_flag=True, help="Say which digest the tag will have; write nothing.")
@click.pass_obj
def command(
    app: App,
    words: tuple[str, ...],
    source: str | None,
    expect: str | None,
    drop: bool,
    architecture_independent: bool,
    dry_run: bool,
) -> None:
    """Bind images that are published, one for each platform, under one tag.

    A CHILD is a tag or digest, of any registry; an index gives all its images, with their attestations.
    With --from, each line of a file is NAME:TAG CHILD...; all are merged at once, and one that fails stops no
    other.
    """
    _check(words, source, expect)
    how = Merging(
        registry=app.registry,
        rules=Rules(architecture_independent=architecture_independent, drop=drop),
        expect=Digest(expect) if expect else None,
        dry_run=dry_run,
        kept=app.layout,
    )
    if source is not None:
        _several(read_list(sys.stdin if source == "-" else Path(source)), how, app.output)
        return
    target, *children = [Reference.parse(word) for word in words]
    merged = merge_published(target, children, how)
    rows = ((entry.platform, entry.digest, entry.size) for entry in merged.index.images)
    show.rows(("platform", "digest", "size"), rows, app.output)
    show.note(f"{merged.name}: {merged.digest} ({_state(merged, how)})")


def _check(words: Sequence[str], source: str | None, expect: str | None) -> None:
    if source is None and len(words) < 2:
        raise click.UsageError("Expected NAME:TAG and at least one CHILD, or --from FILE")
    if source is not None and (words or expect):
        raise click.UsageError("--from FILE names all merges; it goes without NAME:TAG and --expect")


def _several(entries: Sequence[Entry], how: Merging, output: str) -> None:
    several = merge_several(entries, how)
    rows = (
        (one.name, _state(one, how), one.digest, [str(entry.platform) for entry in one.index.images])
        for one in several.done
    )
    show.rows(COLUMNS, rows, output)
    changed = sum(1 for one in several.done if one.changed)
    show.note(f"{changed} of {len(entries)} tags {'would change' if how.dry_run else 'changed'}")
    if several.failed:
        raise several.failed


def _state(merged: Merged, how: Merging) -> str:
    return ("would change" if how.dry_run else "changed") if merged.changed else "unchanged"
