"""Check that the programs a build added to an image are for the image's platform."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dfgen.catalog import lockfile
from dfgen.catalog.model import Image
from dfgen.dockerfile.ignore import Patterns, Verdict
from dfgen.dockerfile.parser import parse
from dfgen.dockerfile.sources import upstream_triggers
from dfgen.dockerfile.stages import Stage, stages
from dfgen.errors import CheckError, DfgenError, ExternalError, Problem, first_few, printable
from dfgen.oci.images import configuration_of
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Descriptor, Index, Manifest
from dfgen.oci.platform import Platform
from dfgen.oci.programs import foreign, programs
from dfgen.oci.reference import Reference

_EVERYTHING = "/**"
# Comments of history entries: BuildKit's Dockerfile frontend writes the first. Its exporter adds entries with
# the second, and a version, at the end, for layers of a base image that has no history of its own.
_FRONTEND, _EXPORTER = "buildkit.dockerfile.v0", "buildkit.exporter."


def check_programs(image: Image, built: Descriptor, layout: Layout, root: Path) -> None:
    """Check the layers that the build of an image in the layout added to those of its base image.

    `root` is the catalog's folder, with the Dockerfile that the image was built from. Raises CheckError if
    there are programs for another architecture that `foreign_programs` does not list, or if a layer cannot be
    read.
    """
    if image.family.architecture_independent or _EVERYTHING in image.foreign_programs:
        return
    manifest = layout.manifest(built)
    if not isinstance(manifest, Manifest):
        raise CheckError(f"{image.name}: {built.digest} is an index, expected an image")
    own = added_layers(image, manifest, stages_in(image, root), layout, lockfile.read(root).triggers)
    try:
        found = programs([layout.blob_path(layer.digest) for layer in own])
    except CheckError as error:
        setting = f"`foreign_programs: {{'{_EVERYTHING}': REASON}}` in {image.family.base_file}"
        advice = f"build it again, or switch the check off with {setting}"
        raise CheckError(f"{image.name}: cannot check its programs: {error}; {advice}") from error
    patterns = Patterns.of(pattern.removeprefix("/") for pattern in image.foreign_programs)
    wrong: dict[str, list[str]] = {}
    for path, machine in foreign(image.platform, found).items():
        if not _matches(patterns, path):
            wrong.setdefault(machine, []).append(path)
    if wrong:
        raise CheckError(Problem(None, _message(image, machine, paths)) for machine, paths in wrong.items())


def stages_in(image: Image, root: Path) -> Sequence[Stage]:
    """Return the stages of an image's Dockerfile whose layers are in the image, the last one at the end."""
    return tuple(reversed([*stages(parse(_read(root / image.dockerfile), image.path)).in_image]))


def _message(image: Image, machine: str, paths: Sequence[str]) -> str:
    shown = [f"/{printable(path)}" for path in sorted(paths)]
    verb = "are" if len(paths) > 1 else "is"
    advice = (
        "use the right file for each platform, or list the path with a reason under `foreign_programs` in"
    )
    return (
        f"{image.name}: {first_few(shown)} {verb} for {machine}, the image for {image.platform};"
        f" {advice} {image.family.base_file}"
    )


def _matches(patterns: Patterns, path: str) -> bool:
    """Whether a pattern matches a path or a folder above it."""
    verdict: Verdict | None = None
    names = path.split("/")
    for end in range(1, len(names) + 1):
        verdict = patterns.judge("/".join(names[:end]), verdict)
    return verdict is not None and verdict.is_matched


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError as error:
        raise ExternalError(f"{path}: cannot be read: {error.strerror}") from error


def added_layers(
    image: Image,
    manifest: Manifest,
    kept: Sequence[Stage],
    layout: Layout,
    upstream: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Sequence[Descriptor]:
    """Return the layers that a build added to its base image's; all layers if that cannot be determined.

    `kept` are the stages whose layers are in the image, the last one at the end, and `upstream` are the
    triggers of upstream parents; see `Lock.triggers`.

    The base image's manifest is in the layout if it is an image of the catalog. Otherwise BuildKit's history
    shows how many layers the instructions of the Dockerfile made.
    """
    digests = [layer.digest for layer in manifest.layers]
    base = _manifest_of(kept[0].reference, image.platform, layout) if kept else None
    below = [layer.digest for layer in base.layers] if base else []
    if base and digests[: len(below)] == below:
        return manifest.layers[len(below) :]
    count = _layers_made(configuration_of(image.name, manifest, layout), kept, upstream)
    return manifest.layers if count is None else manifest.layers[max(len(digests) - count, 0) :]


def _manifest_of(reference: str, platform: Platform, layout: Layout) -> Manifest | None:
    try:
        digest = Reference.parse(reference).digest
        if digest is None or not layout.blob_path(digest).exists():
            return None
        size = layout.blob_path(digest).stat().st_size
        found = layout.manifest(Descriptor(media_type="", digest=digest, size=size))
        entry = found.find(platform) if isinstance(found, Index) else None
        document = layout.manifest(entry) if entry else found
    except (DfgenError, OSError):  # an upstream image, or a damaged blob: use the history instead
        return None
    return document if isinstance(document, Manifest) else None


def _layers_made(
    configuration: Mapping[str, Any], kept: Sequence[Stage], upstream: Mapping[str, Sequence[str]]
) -> int | None:
    """Count the layers that the instructions of the kept stages made; None if the history is unknown."""
    # BuildKit writes one entry for each instruction but ONBUILD, with or without a layer.
    keywords = [word for stage in kept for word in _keywords(stage, upstream)]
    history = configuration.get("history")
    entries = [one for one in history if isinstance(one, dict)] if isinstance(history, list) else []
    while entries and str(entries[-1].get("comment")).startswith(_EXPORTER):
        entries.pop()
    start = len(entries) - len(keywords)
    own = entries[start:] if start >= 0 else []
    if [_keyword(one) for one in own] != keywords:
        return None
    return sum(1 for one in own if not one.get("empty_layer"))


def _keywords(stage: Stage, upstream: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The keywords of all instructions that a stage runs, with the triggers of what it is built on."""
    if stage.base:
        yield from (one.trigger.keyword for one in stage.base.instructions if one.trigger)
    else:
        name, _, digest = stage.reference.partition("@")
        triggers = upstream_triggers(upstream.get(digest, ()), name)
        yield from (one.instruction.keyword for one in triggers)
    yield from (one.keyword for one in stage.instructions if not one.trigger)


def _keyword(entry: Mapping[str, Any]) -> str:
    """Return the instruction's keyword of a history entry; "" if BuildKit's frontend did not write it."""
    text = str(entry.get("created_by")) if entry.get("comment") == _FRONTEND else ""
    return text.partition(" ")[0]
