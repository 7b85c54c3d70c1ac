"""Image archives on disk: what `docker save`, skopeo and buildx write, read without unpacking."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dfgen.errors import CheckError, DfgenError, InputError, Place, Problem
from dfgen.images.annotations import IMAGE_NAME
from dfgen.values.digest import Digest
from dfgen.values.manifest import DOCKER_MANIFEST, REF_NAME, Descriptor, Index, Manifest, parse

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
