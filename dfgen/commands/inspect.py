"""Inspect: what an index or an image is, as records; where it is read from makes no difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from dfgen.concurrent import each
from dfgen.errors import CheckError, InputError, listing, nearest
from dfgen.oci.archive import Archive
from dfgen.oci.digest import Digest
from dfgen.oci.images import Puller, Reader, Remote, configuration_of, configured_platform
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import ATTESTATION_OF, BASE_DIGEST, BASE_NAME, REF_NAME, Descriptor, Index, Manifest
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer as it is stored: `size` in bytes; `shared` when another platform's image has it too."""

    digest: Digest
    size: int
    media_type: str
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a configuration says about running the image; lists are in its own order."""

    created: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    user: str = ""
    workdir: str = ""
    ports: tuple[str, ...] = ()
    healthcheck: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """One image. `listed` is its platform by the index, `platform` by its own configuration.

    `size` is that of configuration and layers, in bytes, as they are stored. With `here` false only its entry
    in the index is known: an archive may hold one platform of many.
    """

    digest: Digest
    media_type: str
    listed: Platform | None
    platform: Platform | None
    size: int = 0
    layers: tuple[Layer, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    here: bool = True

    @property
    def base_name(self) -> str:
        """What it is built on, by its annotation or else its label."""
        return self._said(BASE_NAME)

    @property
    def base_digest(self) -> str:
        """The digest of what it is built on."""
        return self._said(BASE_DIGEST)

    @property
    def agrees(self) -> bool:
        """Whether its configuration says the platform by which it is listed."""
        return self.listed is None or self.platform is None or self.listed == self.platform

    def _said(self, key: str) -> str:
        return self.annotations.get(key) or self.settings.labels.get(key, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationRecord:
    """Provenance or an SBOM: what it belongs to, and the size of its manifest in bytes.

    `type` is the media type of what it holds, where its entry says so: `application/vnd.cyclonedx+json`.
    """

    digest: Digest
    of: str
    size: int
    type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """An index with its images, or a single image; `raw` are the bytes that its digest names."""

    name: str
    digest: Digest
    media_type: str
    raw: bytes
    images: tuple[ImageRecord, ...]
    attestations: tuple[AttestationRecord, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all its images together; what several share is counted once."""
        layers = {layer.digest: layer.size for image in self.images for layer in image.layers}
        configurations = sum(image.size - sum(layer.size for layer in image.layers) for image in self.images)
        return configurations + sum(layers.values())

    def only(self, platform: Platform) -> Inspected:
        """Narrow it to one platform. Errors: InputError naming those it has."""
        images = tuple(image for image in self.images if platform in (image.listed, image.platform))
        if not images:
            has = listing(str(image.listed or image.platform) for image in self.images)
            raise InputError(f"{self.name}: has no {platform}; it has {has}")
        kept = {str(image.digest) for image in images}
        attestations = tuple(one for one in self.attestations if one.of in kept)
        return replace(self, images=images, attestations=attestations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One way in which two differ; an empty side has none. Without a platform it concerns both as a whole."""

    platform: Platform | None
    what: str
    left: str
    right: str


class _Store(Reader, Protocol):
    """A folder or file with images in it."""

    def entries(self) -> Mapping[str, Descriptor]:
        """What it holds, by name."""
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """An index or image by its name, and where the rest of it is read."""

    name: str
    document: Manifest | Index
    reader: Reader


def open_images(text: str, registry: Callable[[], Puller], root: Path) -> list[Opened]:
    """Open `dist`, `dist:java-base:1.0`, `image.tar`, `image.tar:name:tag`, or a reference.

    What exists below `root` as a folder or file is one; else it is a reference, for which `registry` is
    called. A folder or archive without a name gives everything that is in it.
    Errors: InputError for what is none of these, and for a name that is not there.
    """
    where, _, name = text.partition(":")
    path = root / where
    if (path / "index.json").is_file():
        return _stored(where, name, _Folder(path))
    if path.is_file():
        return _stored(where, name, Archive(path))
    try:
        reference = Reference.parse(text)
    except InputError:
        if path.exists():
            message = f"{where}: is not an OCI layout; expected a folder with an index.json"
            raise InputError(message) from None
        raise
    client = registry()
    return [Opened(str(reference), client.manifest(reference), Remote(client, reference.repository))]


class _Folder(Layout):
    """A layout of any tool, where images may have no name."""

    def entries(self) -> Mapping[str, Descriptor]:
        """Every image, by its name or else by a short digest."""
        images = (entry for entry in self.descriptors() if not entry.is_attestation)
        return {entry.annotations.get(REF_NAME) or entry.digest.short: entry for entry in images}


def _stored(where: str, name: str, store: _Store) -> list[Opened]:
    entries = store.entries()
    if name and name not in entries:
        known = list(entries)
        hint = nearest(name, known) or f"; it has {', '.join(known[:10]) or 'nothing'}"
        raise InputError(f"{where}: holds no {name!r}{hint}")
    chosen = [name] if name else list(entries)
    return [Opened(f"{where}:{one}", store.manifest(entries[one]), store) for one in chosen]


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
