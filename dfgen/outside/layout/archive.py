"""One image of a layout as a tar stream that `docker load` takes: the same image gives the same bytes."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from dfgen.images.annotations import IMAGE_NAME
from dfgen.values.digest import Digest
from dfgen.values.manifest import OCI_INDEX, REF_NAME, Descriptor, Manifest

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
