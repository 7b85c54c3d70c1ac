"""The registry client: what the stages ask of registries, and nothing about how it gets there."""

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

_LARGEST_CONFIG = 16 * 2**20


class Registry:
    """All registries of one run: thread-safe, connections and tokens are shared.

    Every method raises the classes of `errors` (all of them OutsideError, exit 3).
    """

    def __init__(
        self,
        options: RegistryOptions | None = None,
        transport: Transport | None = None,
        credentials: Credentials | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Open nothing yet: urllib3 is loaded by the first request."""
        options = options or RegistryOptions()
        transport = transport or HttpTransport(options)
        self._exchange = Exchange(options, transport, credentials or DockerCredentials(), clock or Clock())
        self._uploader = Uploader(self._exchange, options.chunk)
        self._headless: set[str] = set()  # registries whose HEAD does not tell a digest

    @property
    def quota(self) -> Mapping[str, Quota]:
        """What each registry last said about how many pulls are left; nothing for those that say nothing."""
        return dict(self._exchange.quota)

    def left(self, reference: Reference) -> Quota | None:
        """How many pulls a registry says are left: one HEAD, sent once; None for one that does not say.

        No error either: what is wrong with a registry is told by the operation that needs it.
        """
        self._exchange.probe(manifests.head(reference)[0])
        return self.quota.get(reference.repository.registry)

    def resolve(self, reference: Reference) -> Descriptor:
        """Digest, media type and size behind a reference: one HEAD, which no registry counts as a pull.

        One GET where the registry has no HEAD or does not name the digest.
        """
        found = None
        if reference.repository.registry not in self._headless:
            try:
                found = self._exchange.run(*manifests.head(reference))
            except Refused:
                found = None
            if found is None:
                self._headless.add(reference.repository.registry)
        if found is None:
            descriptor = self.manifest(reference).descriptor
            found = replace(descriptor, digest=reference.digest or descriptor.digest)
        return found

    def find(self, reference: Reference) -> Descriptor | None:
        """Resolve, but a reference that is not there is None."""
        try:
            return self.resolve(reference)
        except Missing:
            return None

    def manifest(self, reference: Reference) -> Manifest | Index:
        """The manifest or index, byte for byte: one GET, checked against the digests asked for and named.

        Errors also: CheckError for what is neither manifest nor index.
        """
        return self._exchange.run(*manifests.get(reference))

    def current(self, reference: Reference) -> Manifest | Index | None:
        """What a tag has, None when it is not there: one GET either way."""
        try:
            return self.manifest(reference)
        except Missing:
            return None

    def put_manifest(self, reference: Reference, raw: bytes, media_type: str) -> Digest:
        """Write a manifest or index under the reference's tag, or its digest if it has none."""
        return self._exchange.run(*manifests.put(reference, raw, media_type))

    def blob(self, repository: Repository, descriptor: Descriptor, limit: int = _LARGEST_CONFIG) -> bytes:
        """A small blob, such as an image's configuration, checked for size and digest."""
        return read_blob(self._exchange, repository, descriptor, limit)

    def download(self, repository: Repository, descriptor: Descriptor, target: Path) -> None:
        """Write a blob to a file, which appears only when it is whole and checked."""
        download(self._exchange, repository, descriptor, target)

    def has_blob(self, repository: Repository, digest: Digest) -> bool:
        """Whether a repository has a blob: one HEAD."""
        return has_blob(self._exchange, repository, digest)

    def upload(
        self,
        repository: Repository,
        descriptor: Descriptor,
        source: Path | bytes,
        mount_from: Sequence[Repository] = (),
        progress: Callable[[int], None] | None = None,
    ) -> Uploaded:
        """Bring a blob to a repository in the cheapest way that the registry offers.

        `progress` is told how many bytes each piece had, and a negative number when a try starts over.
        """
        return self._uploader.upload(repository, descriptor, source, mount_from, progress)

    def copy(self, descriptor: Descriptor, source: Repository, target: Repository) -> None:
        """Bring a blob to another repository; it comes through this machine only where it has to."""
        # A mount is one request whether the blob is there or not, so nothing is asked before it.
        if self._uploader.mount(target, descriptor, source) or self.has_blob(target, descriptor.digest):
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, descriptor.digest.hex)
            self.download(source, descriptor, path)
            self.upload(target, descriptor, path)
