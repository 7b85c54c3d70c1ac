"""Read an index or image from a registry, a layout or an archive into the same records, and compare two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
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

_MOST = 200  # images of one index; the largest real ones have some 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer; `size` is in bytes, compressed; `shared` if another platform's image has it too."""

    digest: Digest
    size: int
    media_type: str
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of an image configuration; lists keep its order."""

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
    """One image; `listed` is the platform of its index entry, `platform` that of its configuration.

    `size` is the sum of configuration and compressed layers in bytes. If `is_present` is false, only the
    index entry could be read: an archive may have only some platforms of its index.
    """

    digest: Digest
    media_type: str
    listed: Platform | None
    platform: Platform | None
    size: int = 0
    layers: tuple[Layer, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    is_present: bool = True

    @property
    def base_name(self) -> str:
        """The name of its base, from its annotation or else its label; empty if it has neither."""
        return self._annotation_or_label(BASE_NAME)

    @property
    def base_digest(self) -> str:
        """The digest of its base, like `base_name`."""
        return self._annotation_or_label(BASE_DIGEST)

    @property
    def platform_matches(self) -> bool:
        """Whether its configuration has the platform of its index entry; also True if one is unknown."""
        return self.listed is None or self.platform is None or self.listed == self.platform

    def _annotation_or_label(self, key: str) -> str:
        return self.annotations.get(key) or self.settings.labels.get(key, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationRecord:
    """A provenance attestation or SBOM; `of` is the digest of its image, `size` its manifest's in bytes.

    `type` is the artifact type of its entry, for example `application/vnd.cyclonedx+json`, or empty.
    """

    digest: Digest
    of: str
    size: int
    type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """An index with its images, or a single image; `raw` are the bytes of its digest."""

    name: str
    digest: Digest
    media_type: str
    raw: bytes
    images: tuple[ImageRecord, ...]
    attestations: tuple[AttestationRecord, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The size of all images in bytes; shared layers count once."""
        layers = {layer.digest: layer.size for image in self.images for layer in image.layers}
        configurations = sum(image.size - sum(layer.size for layer in image.layers) for image in self.images)
        return configurations + sum(layers.values())

    def only(self, platform: Platform) -> Inspected:
        """Return only the images of one platform. Raises InputError if no image matches."""
        images = tuple(image for image in self.images if platform in (image.listed, image.platform))
        if not images:
            has = listing(str(image.listed or image.platform) for image in self.images)
            raise InputError(f"{self.name}: has no image for {platform}; it has {has}")
        kept = {str(image.digest) for image in images}
        attestations = tuple(one for one in self.attestations if one.of in kept)
        return replace(self, images=images, attestations=attestations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference; a side without the value is empty. `platform` is None if it is not specific to one."""

    platform: Platform | None
    what: str
    left: str
    right: str


class _Store(Reader, Protocol):
    """A layout or an archive."""

    def entries(self) -> Mapping[str, Descriptor]:
        """Return its images and indexes by name."""
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """An index or image with its name, and the reader for the rest of it.

    `listed` is the platform that a layout's index.json names for an image.
    """

    name: str
    document: Manifest | Index
    reader: Reader
    listed: Platform | None = None


def open_images(text: str, registry: Callable[[], Puller], root: Path) -> list[Opened]:
    """Open `dist`, `dist:java-base:1.0`, `image.tar`, `image.tar:name:tag`, or a reference.

    Layouts and archives are searched below `root`; any other text is a reference, for which `registry` is
    called. Without a name, all images of a layout or archive are opened.
    Raises InputError if the text is not a layout, an archive or a reference, or if the name is not found.
    """
    where, _, name = text.partition(":")
    path = root / where
    if (path / "index.json").is_file():
        return _stored(where, name, _Folder(path))
    if path.is_file():
        return _stored(where, name, Archive(path))
    # A folder that is not a layout does not hide a reference: `debian` may be both.
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
    """A layout written by any tool, in which images may have no name."""

    def entries(self) -> Mapping[str, Descriptor]:
        """Return every image by its name, or else by its short digest."""
        images = (entry for entry in self.descriptors() if not entry.is_attestation)
        return {entry.annotations.get(REF_NAME) or entry.digest.short: entry for entry in images}


def _stored(where: str, name: str, store: _Store) -> list[Opened]:
    entries = store.entries()
    if name and name not in entries:
        known = list(entries)
        hint = nearest(name, known) or f"; it has {', '.join(known[:10]) or 'no images'}"
        raise InputError(f"{where}: {name!r} not found{hint}")
    chosen = [name] if name else list(entries)
    return [
        Opened(f"{where}:{one}", store.manifest(entries[one]), store, entries[one].platform) for one in chosen
    ]


def inspect(
    name: str, document: Manifest | Index, reader: Reader, listed: Platform | None = None
) -> Inspected:
    """Read all images of an index, or a single image: one manifest and one configuration each.

    `listed` is the platform of a single image, if an index lists it. Raises CheckError if an index lists more
    images than a real one does: each costs two requests.
    """
    single = replace(document.descriptor, platform=listed)
    entries = document.images if isinstance(document, Index) else (single,)
    if len(entries) > _MOST:
        message = f"the index lists {len(entries):,} images; dfgen reads {_MOST} at most"
        raise CheckError(f"{name}: {message}; inspect one of them, by its digest")
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
        return replace(record, is_present=False)
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
    except CheckError:  # not an image, for example a chart or a signature; its layers are still shown
        return record
    platform = configured_platform(configuration, entry.platform)
    return replace(record, platform=platform, settings=_settings(configuration))


def _settings(configuration: Mapping[str, Any]) -> Settings:
    # Configurations are untrusted: values of a wrong type count as unset.
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
    """List the differences of two indexes or images by platform; none if their digests are equal."""
    if left.digest == right.digest:
        return ()
    found = [_difference(None, "digest", str(left.digest), str(right.digest))]
    found.extend(_mappings(None, "annotation", left.annotations, right.annotations))
    old, new = ({image.listed or image.platform: image for image in one.images} for one in (left, right))
    for platform in sorted({**old, **new}, key=str):
        found.extend(_images(platform, old.get(platform), new.get(platform)))
    return tuple(difference for difference in found if difference.left != difference.right)


def _difference(platform: Platform | None, what: str, left: str, right: str) -> Difference:
    return Difference(platform=platform, what=what, left=left, right=right)


def _images(
    platform: Platform | None, left: ImageRecord | None, right: ImageRecord | None
) -> Iterator[Difference]:
    if left is None or right is None:
        digests = (str(one.digest) if one else "" for one in (left, right))
        yield _difference(platform, "image", *digests)
        return
    for what, text_of in _COMPARED.items():
        yield _difference(platform, what, text_of(left), text_of(right))
    yield from _layers(platform, left, right)
    yield from _mappings(platform, "annotation", left.annotations, right.annotations)
    environments = [dict(text.partition("=")[::2] for text in one.settings.env) for one in (left, right)]
    yield from _mappings(platform, "env", *environments)
    yield from _mappings(platform, "label", left.settings.labels, right.settings.labels)


_COMPARED: Mapping[str, Callable[[ImageRecord], str]] = {
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
    sides = ([str(layer.digest) for layer in image.layers] for image in (left, right))
    for number, (old, new) in enumerate(zip_longest(*sides, fillvalue=""), 1):
        yield _difference(platform, f"layer {number}", old, new)


def _mappings(
    platform: Platform | None, what: str, left: Mapping[str, str], right: Mapping[str, str]
) -> Iterator[Difference]:
    for key in sorted({*left, *right}):
        yield _difference(platform, f"{what} {key}", left.get(key, ""), right.get(key, ""))
