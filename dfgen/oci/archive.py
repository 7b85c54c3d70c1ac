"""Image archives: read those of other tools, and write one image of a layout for `docker load`.

An OCI archive is a tar file of an image layout. `docker save` writes one too, with a manifest.json for
engines without the containerd image store; before Docker 25 it wrote only manifest.json.
"""

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

VERSION_FILE = "oci-layout"
VERSION = b'{"imageLayoutVersion":"1.0.0"}'
INDEX_FILE = "index.json"
_LEGACY_FILE = "manifest.json"
_LARGEST = 16 * 2**20  # bytes of a manifest or configuration, which are read into memory
_CHUNK = 2**20  # bytes read at once
_DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"


class Archive:
    """An OCI archive or the output of `docker save`, compressed or not, with the methods of a layout.

    The legacy format of `docker save` has no manifests: they are generated from the configurations, with the
    sizes and digests of the uncompressed layers.
    """

    def __init__(self, path: Path) -> None:
        """List the members. Raises InputError if the file is not an image archive."""
        self._path = path
        self._generated: dict[Digest, bytes] = {}
        try:
            with tarfile.open(path) as tar:
                self._members = {member.name.removeprefix("./"): member for member in tar if member.isfile()}
        except OSError as error:
            raise InputError(Problem(Place(str(path)), f"cannot be read: {error.strerror}")) from error
        except tarfile.TarError as error:
            raise self._invalid(str(error)) from error
        if INDEX_FILE not in self._members and _LEGACY_FILE not in self._members:
            raise self._invalid(f"it has neither {INDEX_FILE} nor {_LEGACY_FILE}")

    def entries(self) -> Mapping[str, Descriptor]:
        """Return the images by the reference they are loaded under, or by their short digest.

        Raises InputError if the archive is invalid.
        """
        try:
            found = self._oci() if INDEX_FILE in self._members else self._legacy()
            return dict(found)
        except (ValueError, KeyError, TypeError, AttributeError, DfgenError) as error:
            raise self._invalid(str(error)) from error

    def manifest(self, descriptor: Descriptor) -> Manifest | Index:
        """Read a manifest or an index. Raises as `read`, and CheckError if the blob is neither."""
        return parse(self.read(descriptor), descriptor.media_type)

    def read(self, descriptor: Descriptor) -> bytes:
        """Read a blob. Raises CheckError if it is missing, too large or does not match its digest."""
        name = blob_name(descriptor.digest)
        data = self._generated.get(descriptor.digest)
        if data is None:
            data = self._content(name)
        if not descriptor.digest.matches(data):
            raise CheckError(f"{self._path}: {name} does not match its digest")
        return data

    def _content(self, name: str) -> bytes:
        member = self._members.get(name)
        if member is None or member.size > _LARGEST:
            raise CheckError(f"{self._path}: {name} is {'too large' if member else 'missing'}")
        with tarfile.open(self._path) as tar:
            file = tar.extractfile(member)
            return file.read() if file else b""

    def _oci(self) -> Iterator[tuple[str, Descriptor]]:
        index = parse(self._content(INDEX_FILE))
        for entry in index.manifests if isinstance(index, Index) else ():
            if entry.is_attestation:
                continue
            name = entry.annotations.get(IMAGE_NAME) or entry.annotations.get(REF_NAME)
            yield name or entry.digest.short, entry

    def _legacy(self) -> Iterator[tuple[str, Descriptor]]:
        for image in json.loads(self._content(_LEGACY_FILE)):
            config = self._content(image["Config"])
            manifest = self._manifest_of(config, image["Layers"])
            entry = Descriptor.of(manifest, DOCKER_MANIFEST)
            self._generated |= {entry.digest: manifest, Digest.of(config): config}
            for name in image.get("RepoTags") or [Digest.of(config).short]:
                yield name, entry

    def _manifest_of(self, config: bytes, layers: list[str]) -> bytes:
        # Layers are stored uncompressed here, so their digests are the diff_ids of the configuration.
        digests = json.loads(config)["rootfs"]["diff_ids"]
        manifest = {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": Descriptor.of(config, _DOCKER_CONFIG).to_json(),
            "layers": [
                {"mediaType": _DOCKER_LAYER, "digest": digest, "size": self._members[name].size}
                for digest, name in zip(digests, layers, strict=True)
            ],
        }
        return _json(manifest)

    def _invalid(self, why: str) -> InputError:
        expected = "expected an OCI archive or the output of `docker save`"
        return InputError(Problem(Place(str(self._path)), f"is not an image archive: {why}; {expected}"))


def blob_name(digest: Digest) -> str:
    """Return the path of a blob in a layout: `blobs/sha256/…`."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def entry_order(entry: Descriptor) -> tuple[bool, str, Digest]:
    """Sort key for the entries of an index.json: by name, entries without a name last."""
    name = entry.annotations.get(REF_NAME, "")
    return (not name, name, entry.digest)


def index_bytes(entries: Iterable[Descriptor]) -> bytes:
    """Write an index.json; the order of the entries does not change the bytes."""
    manifests = [entry.to_json() for entry in sorted(entries, key=entry_order)]
    return _json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})


def stream(entry: Descriptor, name: str, blobs: Iterable[Descriptor], root: Path) -> Iterator[bytes]:
    """Yield an OCI archive of one image without its end: see `docker_manifest` and `end`.

    `name` is the reference that `docker load` gives the image, `blobs` is everything reachable from `entry`,
    and `root` is the layout to read them from. The same image always results in the same bytes.
    """
    names = {IMAGE_NAME: name, REF_NAME: name.rpartition(":")[2]}
    yield from _file(VERSION_FILE, VERSION)
    yield from _file(INDEX_FILE, index_bytes([replace(entry, annotations=names)]))
    # Sorted for reproducible bytes, and as a set: an image may have the same layer twice.
    for digest, size in sorted({(blob.digest, blob.size) for blob in blobs}):
        yield _header(blob_name(digest), size)
        with (root / blob_name(digest)).open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
        yield _padding(size)


def docker_manifest(manifest: Manifest, name: str) -> Iterator[bytes]:
    """Yield manifest.json, which engines without the containerd image store read instead of index.json."""
    image = {
        "Config": blob_name(manifest.config.digest),
        "RepoTags": [name],
        "Layers": [blob_name(layer.digest) for layer in manifest.layers],
    }
    yield from _file(_LEGACY_FILE, _json([image]))


def end() -> bytes:
    """Return the two empty blocks that end a tar archive."""
    return bytes(2 * tarfile.BLOCKSIZE)


def _file(name: str, data: bytes) -> Iterator[bytes]:
    yield _header(name, len(data))
    yield data
    yield _padding(len(data))


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)  # mtime, uid and gid stay 0, so that the bytes are reproducible
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _json(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
