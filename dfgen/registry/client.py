"""The registry client: the operations that commands use, independent of the HTTP below."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dfgen.oci.digest import Digest
from dfgen.oci.manifest import Descriptor, Index, Manifest
from dfgen.oci.reference import Reference, Repository
from dfgen.registry import manifests
from dfgen.registry.credentials import Credentials, DockerCredentials
from dfgen.registry.download import download, read_blob
from dfgen.registry.endpoint import Clock, RegistryOptions
from dfgen.registry.errors import Missing, Refused
from dfgen.registry.exchange import Exchange
from dfgen.registry.transport import HttpTransport, Quota, Transport
from dfgen.registry.upload import Uploaded, Uploader, has_blob

_MAX_CONFIG = 16 * 2**20  # bytes


class Registry:
    """Client for all registries of a run; thread-safe, shares connections and tokens.

    Every method raises the classes of `errors`, all subclasses of ExternalError (exit code 3).
    """

    def __init__(
        self,
        options: RegistryOptions | None = None,
        transport: Transport | None = None,
        credentials: Credentials | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Open no connection yet: the first request loads urllib3."""
        options = options or RegistryOptions()
        transport = transport or HttpTransport(options)
        self._exchange = Exchange(options, transport, credentials or DockerCredentials(), clock or Clock())
        self._uploader = Uploader(self._exchange, options.chunk_size)
        self._without_head: set[str] = set()  # registries whose HEAD does not return a digest

    @property
    def quota(self) -> Mapping[str, Quota]:
        """The latest pull quota that each registry reported; registries without a quota are missing."""
        return dict(self._exchange.quota)

    def fetch_quota(self, reference: Reference) -> Quota | None:
        """Request the pull quota of a reference's registry with one HEAD; None if it reports none.

        Ignores errors of the registry: the operation that follows reports them.
        """
        self._exchange.probe(manifests.head(reference)[0])
        return self.quota.get(reference.repository.registry)

    def resolve(self, reference: Reference) -> Descriptor:
        """Return digest, media type and size of a reference with one HEAD, which does not count as a pull.

        Falls back to one GET if the registry refuses HEAD or returns no digest.
        """
        descriptor = None
        if reference.repository.registry not in self._without_head:
            try:
                descriptor = self._exchange.run(*manifests.head(reference))
            except Refused:
                descriptor = None
            if descriptor is None:
                self._without_head.add(reference.repository.registry)
        if descriptor is None:
            found = self.manifest(reference).descriptor
            # The reference's digest may have another algorithm than the computed one.
            descriptor = replace(found, digest=reference.digest or found.digest)
        return descriptor

    def find(self, reference: Reference) -> Descriptor | None:
        """Resolve a reference, or return None if it does not exist."""
        try:
            return self.resolve(reference)
        except Missing:
            return None

    def manifest(self, reference: Reference) -> Manifest | Index:
        """Return the manifest or index with one GET, checked against the reference's and the header's digest.

        Also raises CheckError if the bytes are neither a manifest nor an index.
        """
        return self._exchange.run(*manifests.get(reference))

    def current(self, reference: Reference) -> Manifest | Index | None:
        """Return the manifest or index of a tag with one GET, or None if the tag does not exist."""
        try:
            return self.manifest(reference)
        except Missing:
            return None

    def put_manifest(self, reference: Reference, raw: bytes, media_type: str) -> Digest:
        """Write a manifest or index under the reference's tag, or under its digest if it has no tag."""
        return self._exchange.run(*manifests.put(reference, raw, media_type))

    def blob(self, repository: Repository, descriptor: Descriptor, limit: int = _MAX_CONFIG) -> bytes:
        """Return a small blob, for example an image configuration, after checking its size and digest."""
        return read_blob(self._exchange, repository, descriptor, limit)

    def download(self, repository: Repository, descriptor: Descriptor, target: Path) -> None:
        """Download a blob to a file, which appears only once the blob is complete and verified."""
        download(self._exchange, repository, descriptor, target)

    def has_blob(self, repository: Repository, digest: Digest) -> bool:
        """Return whether a repository has a blob, with one HEAD."""
        return has_blob(self._exchange, repository, digest)

    def upload(
        self,
        repository: Repository,
        descriptor: Descriptor,
        source: Path | bytes,
        mount_from: Sequence[Repository] = (),
        progress: Callable[[int], None] | None = None,
    ) -> Uploaded:
        """Skip, mount from one of `mount_from`, or upload a blob, whichever sends the least.

        `progress` is called with the number of bytes of each part sent, and with a negative number if a try
        sends them again.
        """
        return self._uploader.upload(repository, descriptor, source, mount_from, progress)

    def copy(self, descriptor: Descriptor, source: Repository, target: Repository) -> None:
        """Copy a blob to another repository, through this machine only if it cannot be mounted."""
        # No check first: a mount is one request whether the blob exists or not.
        if self._uploader.mount(target, descriptor, source) or self.has_blob(target, descriptor.digest):
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, descriptor.digest.hex)
            self.download(source, descriptor, path)
            self.upload(target, descriptor, path)
