"""Images without an engine: a folder becomes a layer, layers become an index, and a registry gets it.

The same folder gives the same digests on every machine: times and owners are fixed, and so is the order.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import registry
from home import DemoError

# The time of every file and image: 2024-01-01.
FILE_TIME = 1704067200
CREATED = "2024-01-01T00:00:00Z"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
GZIP = 16 + zlib.MAX_WBITS
PIECE = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A gzipped tar file on disk."""

    path: str
    digest: str
    size: int
    diff_id: str
    """The digest of the tar file inside."""

    def descriptor(self) -> dict[str, Any]:
        """How a manifest names the layer."""
        return {"mediaType": LAYER, "digest": self.digest, "size": self.size}


def digest_of(content: bytes) -> str:
    """The digest of a document."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def document(content: Mapping[str, Any]) -> bytes:
    """A document's canonical bytes."""
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def pack(folder: Path, target: Path) -> Layer:
    """Packs a folder as a layer into the file `target`, owned by root throughout."""
    command = ["tar", "--create", "--file=-", "--directory", str(folder), "--sort=name", "--format=gnu"]
    command += ["--numeric-owner", "--owner=0", "--group=0", f"--mtime=@{FILE_TIME}", "."]
    inside, outside, size = hashlib.sha256(), hashlib.sha256(), 0
    packer = zlib.compressobj(1, zlib.DEFLATED, GZIP)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as tar, target.open("wb") as file:
        assert tar.stdout is not None
        while True:
            piece = tar.stdout.read(PIECE)
            inside.update(piece)
            packed = packer.compress(piece) if piece else packer.flush()
            outside.update(packed)
            size += file.write(packed)
            if not piece:
                break
    if tar.returncode:
        raise DemoError(f"{folder}: tar ended with {tar.returncode}, expected to pack it; is the disk full?")
    digests = {"digest": f"sha256:{outside.hexdigest()}", "diff_id": f"sha256:{inside.hexdigest()}"}
    return Layer(path=str(target), size=size, **digests)


def push_blob(port: int, repository: str, content: bytes | Path, digest: str) -> None:
    """Uploads a blob, unless the registry has it."""
    base = f"/v2/{repository}/blobs"
    if registry.has(port, f"{base}/{digest}"):
        return
    place = registry.send(port, "POST", f"{base}/uploads/", b"")["Location"]
    target = f"{place}{'&' if '?' in place else '?'}digest={digest}"
    if isinstance(content, bytes):
        registry.send(port, "PUT", target, content)
        return
    with content.open("rb") as file:
        registry.send(port, "PUT", target, file, {"Content-Length": str(content.stat().st_size)})


def push_image(
    port: int, repository: str, arch: str, layers: Sequence[Layer], config: Mapping[str, Any]
) -> dict[str, Any]:
    """Pushes the image of one architecture; returns how an index names it."""
    rootfs = {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}
    history = [{"created": CREATED, "created_by": "dfgen demo"} for _ in layers]
    platform = {"architecture": arch, "os": "linux"}
    content = {**platform, "created": CREATED, "config": config, "rootfs": rootfs, "history": history}
    configuration = document(content)
    for layer in layers:
        push_blob(port, repository, Path(layer.path), layer.digest)
    push_blob(port, repository, configuration, digest_of(configuration))
    named = {"mediaType": CONFIG, "digest": digest_of(configuration), "size": len(configuration)}
    listed = [layer.descriptor() for layer in layers]
    manifest = document({"schemaVersion": 2, "mediaType": MANIFEST, "config": named, "layers": listed})
    push_manifest(port, repository, digest_of(manifest), manifest, MANIFEST)
    return {"mediaType": MANIFEST, "digest": digest_of(manifest), "size": len(manifest), "platform": platform}


def push_index(port: int, repository: str, tag: str, children: Sequence[Mapping[str, Any]]) -> str:
    """Pushes the index of pushed images under a tag; returns its digest."""
    index = document({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(children)})
    push_manifest(port, repository, tag, index, INDEX)
    return digest_of(index)


def push_manifest(port: int, repository: str, name: str, content: bytes, media_type: str) -> None:
    """Pushes a manifest or an index under a tag or its digest."""
    registry.send(port, "PUT", f"/v2/{repository}/manifests/{name}", content, {"Content-Type": media_type})
