"""`dfgen inspect`: show or compare indexes and images."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands.inspect import ImageRecord, Inspected, Opened, compare, inspect, open_images
from dfgen.errors import ExitCode, printable
from dfgen.oci.platform import Platform

COLUMNS = ("platform", "digest", "size", "layers", "created", "base", "user", "command")
_SPARE = ("command", "created", "user", "layers", "base")


@click.command("inspect")
@click.argument("reference", metavar="REF")
@click.argument("other", metavar="[REF]", required=False)
@click.option(
    "--platform", metavar="PLATFORM", help="Show only this platform, with environment, labels and layers."
)
@click.option("--raw", is_flag=True, help="Print the manifest or index byte for byte.")
@click.pass_context
def command(ctx: click.Context, reference: str, other: str | None, platform: str | None, raw: bool) -> None:
    """Show an index or image of a registry, an OCI layout (dist, dist:java-base:21) or an archive.

    With two REFs, show their differences; exit code 1 if there are any.
    """
    app: App = ctx.obj
    if raw and not other:
        sys.stdout.buffer.write(_open(app, reference)[0].document.raw)
        return
    found = _read(app, reference, platform)
    if other:
        if _compare(app, found[0], _read(app, other, platform)[0]):
            ctx.exit(ExitCode.CHECK_FAILED)
    elif app.output == "json":
        show.data([_data(one) for one in found])
    else:
        for one in found:
            _print(app, one, in_full=platform is not None)


def _open(app: App, text: str) -> list[Opened]:
    if text in app.layout.entries():
        show.note(f"{text} is read from a registry; the image in dist/ is dist:{text}")
    return open_images(text, lambda: app.registry, app.root)


def _read(app: App, text: str, platform: str | None) -> list[Inspected]:
    found = [inspect(one.name, one.document, one.reader, one.listed) for one in _open(app, text)]
    return [one.only(Platform.parse(platform)) for one in found] if platform else found


def _compare(app: App, left: Inspected, right: Inspected) -> bool:
    differences = compare(left, right)
    columns = ("platform", "what", left.name, right.name)
    rows = ((one.platform or "", one.what, one.left, one.right) for one in differences)
    show.rows(columns, rows, app.output)
    show.note(f"{len(differences) or 'no'} differences")
    return bool(differences)


def _print(app: App, one: Inspected, *, in_full: bool) -> None:
    print(f"{one.name}\n{one.digest}  {one.media_type}  {show.size(one.size)}")
    show.rows(COLUMNS, (_row(image) for image in one.images), app.output, spare=_SPARE)
    for attestation in one.attestations:
        kind = f" ({attestation.type})" if attestation.type else ""
        print(f"attestation {attestation.digest} of {printable(attestation.of + kind)}")
    for image in one.images if in_full else ():
        show.rows(("what", "value"), _details(image), app.output)
    print()


def _row(image: ImageRecord) -> tuple[object, ...]:
    shared = sum(1 for layer in image.layers if layer.shared)
    layers = f"{len(image.layers)}" + (f" ({shared} shared)" if shared else "")
    settings = image.settings
    command = " ".join((*settings.entrypoint, *settings.cmd))
    platform = str(image.listed or image.platform or "")
    if not image.platform_matches:
        platform += f" (its configuration says {image.platform})"
    size = show.size(image.size) if image.is_present else "missing"
    return (platform, image.digest, size, layers, settings.created, image.base_name, settings.user, command)


def _details(image: ImageRecord) -> Iterator[tuple[object, ...]]:
    settings = image.settings
    yield "base", f"{image.base_name}@{image.base_digest}" if image.base_digest else image.base_name
    yield "workdir", settings.workdir
    yield "ports", settings.ports
    yield "healthcheck", " ".join(settings.healthcheck)
    yield from (("env", text) for text in settings.env)
    yield from ((f"label {key}", text) for key, text in settings.labels.items())
    yield from ((f"annotation {key}", text) for key, text in sorted(image.annotations.items()))
    yield from ((f"layer {show.size(layer.size)}", layer.digest) for layer in image.layers)


def _data(one: Inspected) -> dict[str, Any]:
    return {
        "name": one.name,
        "digest": str(one.digest),
        "media_type": one.media_type,
        "size": one.size,
        "annotations": dict(one.annotations),
        "images": [_image(image) for image in one.images],
        "attestations": [
            {"digest": str(a.digest), "of": a.of, "size": a.size, "type": a.type} for a in one.attestations
        ],
    }


def _image(image: ImageRecord) -> dict[str, Any]:
    settings = image.settings
    return {
        "platform": str(image.listed or image.platform or ""),
        "configured_platform": str(image.platform or ""),
        "digest": str(image.digest),
        "media_type": image.media_type,
        "size": image.size,
        "layers": [
            {"digest": str(layer.digest), "size": layer.size, "shared": layer.shared}
            for layer in image.layers
        ],
        "base": {"name": image.base_name, "digest": image.base_digest},
        "created": settings.created,
        "env": list(settings.env),
        "entrypoint": list(settings.entrypoint),
        "cmd": list(settings.cmd),
        "user": settings.user,
        "workdir": settings.workdir,
        "ports": list(settings.ports),
        "healthcheck": list(settings.healthcheck),
        "labels": dict(settings.labels),
        "annotations": dict(image.annotations),
    }
