"""One image of a layout as a tar stream that `docker load` takes: the same image gives the same bytes."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dfgen.errors import CheckError, DfgenError, InputError, Place, Problem
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import (
    DOCKER_MANIFEST,
    IMAGE_NAME,
    OCI_INDEX,
    REF_NAME,
    Descriptor,
    Index,
    Manifest,
    parse,
)

_LARGEST = 16 * 2**20  # bytes of a manifest or configuration
_DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"


class Archive:
    """An OCI archive, or one of `docker save`, compressed or not; read as a layout is read.

    In the form that engines wrote before they knew OCI there are no manifests: they are made up from its
    configurations, with the layers' sizes and digests uncompressed.
    """

    def __init__(self, path: Path) -> None:
        """Read the list of members. Errors: InputError for a file that is no such archive."""
        self._path = path
        self._made: dict[Digest, bytes] = {}
        try:
            with tarfile.open(path) as tar:
                self._members = {member.name.removeprefix("./"): member for member in tar if member.isfile()}
        except OSError as error:
            raise InputError(Problem(Place(str(path)), f"cannot be read: {error.strerror}")) from error
        except tarfile.TarError as error:
            raise self._wrong(str(error)) from error
        if "index.json" not in self._members and "manifest.json" not in self._members:
            raise self._wrong("it has neither index.json nor manifest.json")

    def entries(self) -> Mapping[str, Descriptor]:
        """What the archive holds, by name: the reference it is loaded under, else a short digest."""
        try:
            found = self._oci() if "index.json" in self._members else self._legacy()
            return dict(found)
        except (ValueError, KeyError, TypeError, AttributeError, DfgenError) as error:
            raise self._wrong(str(error)) from error

    def manifest(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest or index that a descriptor names."""
        return parse(self.read(descriptor), descriptor.media_type)

    def read(self, descriptor: Descriptor) -> bytes:
        """A blob's bytes. Errors: CheckError when it is not in the archive, or not what its digest says."""
        name = f"blobs/{descriptor.digest.algorithm}/{descriptor.digest.hex}"
        data = self._made.get(descriptor.digest)
        if data is None:
            data = self._content(name)
        if not descriptor.digest.matches(data):
            raise CheckError(f"{self._path}: {name} does not hold what its digest says")
        return data

    def _content(self, name: str) -> bytes:
        member = self._members.get(name)
        if member is None or member.size > _LARGEST:
            raise CheckError(f"{self._path}: {name} is {'too large' if member else 'not in it'}")
        with tarfile.open(self._path) as tar:
            file = tar.extractfile(member)
            return file.read() if file else b""

    def _oci(self) -> Iterator[tuple[str, Descriptor]]:
        index = parse(self._content("index.json"))
        for entry in index.manifests if isinstance(index, Index) else ():
            if entry.is_attestation:
                continue
            name = entry.annotations.get(IMAGE_NAME) or entry.annotations.get(REF_NAME)
            yield name or entry.digest.short, entry

    def _legacy(self) -> Iterator[tuple[str, Descriptor]]:
        for image in json.loads(self._content("manifest.json")):
            config = self._content(image["Config"])
            entry = self._keep(self._make(config, image["Layers"]))
            self._made[Digest.of(config)] = config
            for name in image.get("RepoTags") or [Digest.of(config).short]:
                yield name, entry

    def _make(self, config: bytes, layers: list[str]) -> bytes:
        digests = json.loads(config)["rootfs"]["diff_ids"]
        described: list[dict[str, Any]] = [
            {"mediaType": _DOCKER_LAYER, "digest": digest, "size": self._members[name].size}
            for digest, name in zip(digests, layers, strict=True)
        ]
        manifest = {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": Descriptor.of(config, _DOCKER_CONFIG).to_json(),
            "layers": described,
        }
        return json.dumps(manifest, separators=(",", ":")).encode()

    def _keep(self, raw: bytes) -> Descriptor:
        descriptor = Descriptor.of(raw, DOCKER_MANIFEST)
        self._made[descriptor.digest] = raw
        return descriptor

    def _wrong(self, why: str) -> InputError:
        expected = "expected one that `docker save` wrote, or an OCI archive"
        return InputError(Problem(Place(str(self._path)), f"is not an image archive: {why}; {expected}"))


VERSION_FILE = "oci-layout"
VERSION = b'{"imageLayoutVersion":"1.0.0"}'
INDEX_FILE = "index.json"
_PIECE = 2**20  # bytes read at once


def blob_name(digest: Digest) -> str:
    """Where a layout keeps a blob: `blobs/sha256/…`."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def entry_order(entry: Descriptor) -> tuple[bool, str, Digest]:
    """Entries of an index.json stand in the order of their names, and those without a name last."""
    name = entry.annotations.get(REF_NAME, "")
    return (not name, name, entry.digest)


def index_bytes(entries: Iterable[Descriptor]) -> bytes:
    """Write an index.json: the same entries give the same bytes, whatever order they come in."""
    manifests = [entry.to_json() for entry in sorted(entries, key=entry_order)]
    return _json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})


def stream(entry: Descriptor, name: str, blobs: Iterable[Descriptor], root: Path) -> Iterator[bytes]:
    """Write the archive of an entry and the blobs it needs; `name` is the reference it is loaded under."""
    marks = {IMAGE_NAME: name, REF_NAME: name.rpartition(":")[2]}
    yield from _file(VERSION_FILE, VERSION)
    yield from _file(INDEX_FILE, index_bytes([replace(entry, annotations=marks)]))
    for digest, size in sorted({(blob.digest, blob.size) for blob in blobs}):
        yield _header(blob_name(digest), size)
        with (root / blob_name(digest)).open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
        yield _padding(size)


def docker_manifest(manifest: Manifest, name: str) -> Iterator[bytes]:
    """The member that engines without containerd's image store look for instead of index.json."""
    image = {
        "Config": blob_name(manifest.config.digest),
        "RepoTags": [name],
        "Layers": [blob_name(layer.digest) for layer in manifest.layers],
    }
    yield from _file("manifest.json", _json([image]))


def end() -> bytes:
    """What ends a tar archive."""
    return bytes(2 * tarfile.BLOCKSIZE)


def _file(name: str, data: bytes) -> Iterator[bytes]:
    yield _header(name, len(data))
    yield data
    yield _padding(len(data))


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)  # no clock, no user: time 0, owner 0
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _json(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
