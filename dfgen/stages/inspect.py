"""Inspect: what an index or an image is, as records; where it is read from makes no difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dfgen.concurrent import each
from dfgen.errors import CheckError
from dfgen.images.inspected import (
    AttestationRecord,
    Difference,
    ImageRecord,
    Inspected,
    Layer,
    Settings,
)
from dfgen.oci.digest import Digest
from dfgen.oci.images import Reader, configuration_of, configured_platform
from dfgen.oci.manifest import ATTESTATION_OF, Descriptor, Index, Manifest
from dfgen.oci.platform import Platform


def inspect(
    name: str, document: Manifest | Index, reader: Reader, listed: Platform | None = None
) -> Inspected:
    """Read all images of an index, or a single one: one manifest and one configuration each.

    `listed` is the platform of a single one, where somebody lists it.
    """
    single = replace(document.descriptor, platform=listed)
    entries = document.images if isinstance(document, Index) else (single,)
    images = each(lambda entry: _image(name, entry, document, reader), entries)
    count = Counter(digest for image in images for digest in {layer.digest for layer in image.layers})
    return Inspected(
        name=name,
        digest=document.descriptor.digest,
        media_type=document.media_type,
        raw=document.raw,
        images=tuple(_mark_shared(image, count) for image in images),
        attestations=tuple(_attestations(document)),
        annotations=document.annotations,
    )


def _image(name: str, entry: Descriptor, document: Manifest | Index, reader: Reader) -> ImageRecord:
    record = ImageRecord(
        digest=entry.digest, media_type=entry.media_type, listed=entry.platform, platform=None
    )
    try:
        manifest = document if isinstance(document, Manifest) else reader.manifest(entry)
    except CheckError:
        return replace(record, here=False)
    if isinstance(manifest, Index):
        return replace(record, annotations=manifest.annotations)
    record = replace(
        record,
        size=sum(blob.size for blob in manifest.blobs),
        layers=tuple(
            Layer(digest=layer.digest, size=layer.size, media_type=layer.media_type)
            for layer in manifest.layers
        ),
        annotations=manifest.annotations,
    )
    try:
        configuration = configuration_of(name, manifest, reader)
    except CheckError:  # a chart, a signature: nothing to run, and still something to look at
        return record
    platform = configured_platform(configuration, entry.platform)
    return replace(record, platform=platform, settings=_settings(configuration))


def _settings(configuration: Mapping[str, Any]) -> Settings:
    run = _mapping(configuration.get("config"))
    return Settings(
        created=str(configuration.get("created") or ""),
        env=_words(run.get("Env")),
        entrypoint=_words(run.get("Entrypoint")),
        cmd=_words(run.get("Cmd")),
        user=str(run.get("User") or ""),
        workdir=str(run.get("WorkingDir") or ""),
        ports=tuple(sorted(_mapping(run.get("ExposedPorts")))),
        healthcheck=_words(_mapping(run.get("Healthcheck")).get("Test")),
        labels={key: str(text) for key, text in sorted(_mapping(run.get("Labels")).items())},
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _words(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _mark_shared(image: ImageRecord, count: Mapping[Digest, int]) -> ImageRecord:
    marked = (replace(layer, shared=count[layer.digest] > 1) for layer in image.layers)
    return replace(image, layers=tuple(marked))


def _attestations(document: Manifest | Index) -> Iterator[AttestationRecord]:
    for entry in document.manifests if isinstance(document, Index) else ():
        if entry.is_attestation:
            of = entry.annotations.get(ATTESTATION_OF, "")
            kind = str(entry.extra.get("artifactType", ""))
            yield AttestationRecord(digest=entry.digest, of=of, size=entry.size, type=kind)


def compare(left: Inspected, right: Inspected) -> tuple[Difference, ...]:
    """List how two indexes or images differ, platform by platform; nothing where their digests agree."""
    if left.digest == right.digest:
        return ()
    found = [_different(None, "digest", str(left.digest), str(right.digest))]
    found.extend(_mappings(None, "annotation", left.annotations, right.annotations))
    sides = [{image.listed or image.platform: image for image in one.images} for one in (left, right)]
    for platform in sorted({**sides[0], **sides[1]}, key=str):
        pair = (sides[0].get(platform), sides[1].get(platform))
        found.extend(_images(platform, *pair))
    return tuple(difference for difference in found if difference.left != difference.right)


def _different(platform: Platform | None, what: str, left: str, right: str) -> Difference:
    return Difference(platform=platform, what=what, left=left, right=right)


def _images(
    platform: Platform | None, left: ImageRecord | None, right: ImageRecord | None
) -> Iterator[Difference]:
    if left is None or right is None:
        digests = (str(one.digest) if one else "" for one in (left, right))
        yield _different(platform, "image", *digests)
        return
    for what, tell in _TEXTS.items():
        yield _different(platform, what, tell(left), tell(right))
    yield from _layers(platform, left, right)
    yield from _mappings(platform, "annotation", left.annotations, right.annotations)
    environments = [dict(text.partition("=")[::2] for text in one.settings.env) for one in (left, right)]
    yield from _mappings(platform, "env", *environments)
    yield from _mappings(platform, "label", left.settings.labels, right.settings.labels)


_TEXTS: Mapping[str, Callable[[ImageRecord], str]] = {
    "digest": lambda image: str(image.digest),
    "platform": lambda image: str(image.platform or ""),
    "size": lambda image: str(image.size),
    "created": lambda image: image.settings.created,
    "entrypoint": lambda image: " ".join(image.settings.entrypoint),
    "cmd": lambda image: " ".join(image.settings.cmd),
    "user": lambda image: image.settings.user,
    "workdir": lambda image: image.settings.workdir,
    "ports": lambda image: " ".join(image.settings.ports),
    "healthcheck": lambda image: " ".join(image.settings.healthcheck),
}


def _layers(platform: Platform | None, left: ImageRecord, right: ImageRecord) -> Iterator[Difference]:
    """Tell the layers after the last that both have in common, counted from the lowest."""
    sides = [[str(layer.digest) for layer in one.layers] for one in (left, right)]
    common = 0
    while all(common < len(side) for side in sides) and sides[0][common] == sides[1][common]:
        common += 1
    rest: Sequence[Sequence[str]] = [side[common:] for side in sides]
    for number in range(max(map(len, rest))):
        digests = (side[number] if number < len(side) else "" for side in rest)
        yield _different(platform, f"layer {common + number + 1}", *digests)


def _mappings(
    platform: Platform | None, what: str, left: Mapping[str, str], right: Mapping[str, str]
) -> Iterator[Difference]:
    for key in sorted({*left, *right}):
        yield _different(platform, f"{what} {key}", left.get(key, ""), right.get(key, ""))
