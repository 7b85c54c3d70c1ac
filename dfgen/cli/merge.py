"""`dfgen merge`: merge published images of several platforms under one tag."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands.merge import (
    Merged,
    MergeRequest,
    Merging,
    Rules,
    merge_all,
    merge_published,
    read_list,
)
from dfgen.errors import counted
from dfgen.oci.digest import Digest
from dfgen.oci.reference import Reference

COLUMNS = ("tag", "state", "digest", "platforms")


@click.command("merge")
@click.argument("words", metavar="[NAME:TAG CHILD...]", nargs=-1)
@click.option(
    "--from", "source", metavar="FILE", help="Run the merges listed in a file (- is standard input)."
)
@click.option("--expect", metavar="DIGEST", help="Fail unless the tag has this digest now.")
@click.option("--drop", is_flag=True, help="Allow removing platforms from the tag.")
@click.option(
    "--architecture-independent", is_flag=True, help="Allow the same layers for several architectures."
)
@click.option("--dry-run", is_flag=True, help="Show the digest that the tag would get; write nothing.")
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
    """Merge published images, one for each platform, under one tag.

    A CHILD is a tag or digest in any registry; an index adds all its images, with their attestations.
    With --from, each line of the file is NAME:TAG CHILD...; the merges run concurrently, and a failure does
    not stop the others.
    """
    _check(words, source, expect)
    how = Merging(
        registry=app.registry,
        rules=Rules(architecture_independent=architecture_independent, drop=drop),
        expect=Digest(expect) if expect else None,
        dry_run=dry_run,
        local_blobs=app.layout,
    )
    if source is not None:
        _merge_list(read_list(sys.stdin if source == "-" else Path(source)), how, app.output)
        return
    target, *children = [Reference.parse(word) for word in words]
    merged = merge_published(target, children, how)
    rows = ((entry.platform, entry.digest) for entry in merged.index.images)
    show.rows(("platform", "digest"), rows, app.output)
    show.note(f"{merged.name}: {merged.digest} ({_state(merged, how)})")


def _check(words: Sequence[str], source: str | None, expect: str | None) -> None:
    if source is None and len(words) < 2:
        raise click.UsageError("Expected NAME:TAG and at least one CHILD, or --from FILE")
    if source is not None and (words or expect):
        raise click.UsageError("--from cannot be combined with NAME:TAG or --expect")


def _merge_list(requests: Sequence[MergeRequest], how: Merging, output: str) -> None:
    results = merge_all(requests, how)
    rows = (
        (one.name, _state(one, how), one.digest, [str(entry.platform) for entry in one.index.images])
        for one in results.done
    )
    show.rows(COLUMNS, rows, output)
    changed = sum(1 for one in results.done if one.changed)
    show.note(f"{changed} of {counted(len(requests), 'tag')} {'would change' if how.dry_run else 'changed'}")
    if results.failed:
        raise results.failed


def _state(merged: Merged, how: Merging) -> str:
    return ("would change" if how.dry_run else "changed") if merged.changed else "unchanged"
