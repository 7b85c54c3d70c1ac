"""Blob uploads: skipped if present, mounted from another repository if possible, else streamed from disk.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-blobs
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from http import HTTPStatus
from pathlib import Path

from dfgen.errors import ExternalError, InputError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import Descriptor
from dfgen.oci.reference import Repository
from dfgen.registry.endpoint import PULL, PUSH, scopes_for
from dfgen.registry.errors import Corrupt, Forbidden, Missing, Refused, RegistryError, Unauthorized
from dfgen.registry.exchange import ApiRequest, Exchange
from dfgen.registry.retry import FEW, TWICE, Deadline, retryable
from dfgen.registry.transport import Body, Response, parse_number, status_text

_READ_SIZE = 256 * 1024  # bytes read and sent at a time
_OCTET_STREAM = "application/octet-stream"


class Uploaded(Enum):
    """How a blob got into a repository."""

    SKIPPED = "skipped"  # it was already there
    MOUNTED = "mounted"  # from another repository of the registry
    UPLOADED = "uploaded"


class Uploader:
    """Uploads of one run; remembers which registries need chunked uploads."""

    def __init__(self, exchange: Exchange, chunk_size: int) -> None:
        """`chunk_size` is in bytes."""
        self._exchange, self._chunk_size = exchange, chunk_size
        self._chunked: set[str] = set()

    def upload(
        self,
        repository: Repository,
        descriptor: Descriptor,
        source: Path | bytes,
        mount_from: Sequence[Repository] = (),
        progress: Callable[[int], None] | None = None,
    ) -> Uploaded:
        """Skip, mount or upload a blob, whichever sends the least."""
        if self._has_blob(repository, descriptor.digest):
            return Uploaded.SKIPPED
        location = self._mount(repository, descriptor, mount_from)
        if location is None:
            if self._has_blob(repository, descriptor.digest):
                return Uploaded.MOUNTED
            location = ""  # some registries answer a mount with 201 without having the blob
        blob = _Source(source, descriptor.size, _Progress(progress))
        session = _Session(self._exchange, repository, descriptor, blob, self._chunk_size)
        session.location = location
        self._exchange.retry(lambda deadline: self._try_upload(session, deadline), descriptor.size)
        return Uploaded.UPLOADED

    def _has_blob(self, repository: Repository, digest: Digest) -> bool:
        try:
            return has_blob(self._exchange, repository, digest, PUSH)
        except Refused:  # uploading a blob that is there does no harm
            return False

    def _try_upload(self, session: _Session, deadline: Deadline) -> None:
        """Upload with a single PUT, or in chunks if the registry has refused that."""
        if session.tried and self._is_stored(session, deadline):
            return  # only the response to the last try was lost
        registry = session.repository.registry
        if not session.chunked and registry not in self._chunked:
            try:
                session.upload_monolithic(deadline)
                return
            except Refused:
                session.chunked = True
        session.upload_chunked(deadline)
        self._chunked.add(registry)

    def _is_stored(self, session: _Session, deadline: Deadline) -> bool:
        request = _blob_request(session.repository, session.descriptor.digest, PUSH)
        try:
            self._exchange.send(request, deadline).close()
        except (Missing, Refused):
            return False
        return True

    def mount(self, repository: Repository, descriptor: Descriptor, source: Repository) -> bool:
        """Mount a blob from another repository of the same registry; False if that is not possible."""
        return self._mount(repository, descriptor, [source]) is None

    def _mount(
        self, repository: Repository, descriptor: Descriptor, sources: Iterable[Repository]
    ) -> str | None:
        """Try to mount from each repository; None on success.

        Otherwise returns the Location of the upload that the registry began instead, or an empty string.
        """
        location = ""
        for source in sources:
            if source.registry != repository.registry or source == repository:
                continue
            request = ApiRequest(
                method="POST",
                repository=repository,
                path=f"blobs/uploads/?mount={descriptor.digest}&from={source.path}",
                operation=f"mount {source}@{descriptor.digest} in {repository}",
                actions=PUSH,
                extra_scopes=scopes_for(source.path),
                body=b"",
            )
            try:
                begun = self._exchange.run(request, functools.partial(self._mount_location, request))
            except (Unauthorized, Forbidden, Missing, Refused):
                continue
            if begun is None:
                return None
            location = begun
        return location

    def _mount_location(self, request: ApiRequest, response: Response, _deadline: Deadline) -> str | None:
        if response.status == HTTPStatus.CREATED:
            return None
        return self._exchange.location(request, response)


def has_blob(
    exchange: Exchange, repository: Repository, digest: Digest, actions: tuple[str, ...] = PULL
) -> bool:
    """Return whether a repository has a blob. Raises Refused if the response does not answer that.

    Sends one HEAD, and one GET without reading its body if HEAD is refused.
    """
    request = _blob_request(repository, digest, actions)
    try:
        try:
            return exchange.run(request, functools.partial(_is_blob, request))
        except Refused:
            request = replace(request, method="GET")
            return exchange.run(request, functools.partial(_is_blob, request))
    except Missing:
        return False


def _is_blob(request: ApiRequest, response: Response, _deadline: Deadline) -> bool:
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT) or media_type == "text/html":
        page = " with an HTML page" if media_type == "text/html" else ""
        why = f"it returned {status_text(response.status)}{page}, expected a blob"
        raise retryable(Refused.of(request.operation, request.repository.registry, why), TWICE)
    return True


def _blob_request(repository: Repository, digest: Digest, actions: tuple[str, ...]) -> ApiRequest:
    operation = f"check for the blob {repository}@{digest}"
    return ApiRequest(
        method="HEAD", repository=repository, path=f"blobs/{digest}", operation=operation, actions=actions
    )


class _Session:
    """The upload of one blob, which may take several tries."""

    def __init__(
        self,
        exchange: Exchange,
        repository: Repository,
        descriptor: Descriptor,
        source: _Source,
        chunk_size: int,
    ) -> None:
        self._exchange, self._source, self._chunk_size = exchange, source, chunk_size
        self.repository, self.descriptor = repository, descriptor
        self._min_chunk_size = 1
        self.location = ""  # where the registry expects the next request; empty before the upload has begun
        self.offset = 0  # bytes that the registry has confirmed
        self.tried = False
        self.chunked = False  # the registry has refused the monolithic upload

    def upload_monolithic(self, deadline: Deadline) -> None:
        """Send the blob with a single PUT; a later try needs a new session."""
        self.tried = True
        location = self._begin(deadline)
        self.location = ""
        try:
            self._finish(location, 0, deadline)
        except Missing as error:  # the registry has dropped the session
            raise retryable(error, FEW) from error

    def upload_chunked(self, deadline: Deadline) -> None:
        """Send the blob in chunks; a later try continues at the offset that the registry reports."""
        if self.location and self.tried:
            self._fetch_offset(deadline)
        self.tried = True
        self.location = self._begin(deadline)
        try:
            while self.offset < self.descriptor.size:
                self._send_chunk(deadline)
            self._finish(self.location, self.descriptor.size, deadline)
        except Missing as error:
            self._restart()
            raise retryable(error, FEW) from error
        except Refused as error:
            # Either the offset was wrong, or the chunk exceeds the limit of a proxy in between.
            self._chunk_size = max(self._chunk_size // 4, self._min_chunk_size)
            raise retryable(error, FEW) from error

    def _restart(self) -> None:
        self.location, self.offset = "", 0

    def _begin(self, deadline: Deadline) -> str:
        if self.location:
            return self.location
        request = self._request("POST", "blobs/uploads/", b"")
        response = self._exchange.send(request, deadline)
        response.close()
        self._min_chunk_size = parse_number(response.headers.get("oci-chunk-min-length", "")) or 1
        self._chunk_size = max(self._chunk_size, self._min_chunk_size)
        return self._exchange.location(request, response)

    def _send_chunk(self, deadline: Deadline) -> None:
        start, end = self.offset, min(self.offset + self._chunk_size, self.descriptor.size)
        request = self._request(
            "PATCH",
            self.location,
            lambda: self._source.read(start, end),
            Content_Type=_OCTET_STREAM,
            Content_Range=f"{start}-{end - 1}",
            Content_Length=str(end - start),
        )
        response = self._exchange.send(request, deadline)
        response.close()
        # Every response has a new Location: registries keep the state of an upload in it.
        self.location, self.offset = self._exchange.location(request, response), end

    def _fetch_offset(self, deadline: Deadline) -> None:
        """Ask the registry how much it has; restart if it no longer knows the session."""
        request = self._request("GET", self.location)
        try:
            response = self._exchange.send(request, deadline)
        except RegistryError:
            return self._restart()
        response.close()
        last_byte = re.fullmatch(r"(?:bytes=)?0-([0-9]{1,18})", response.headers.get("range", ""))
        offset = int(last_byte[1]) + 1 if last_byte else 0
        # An empty upload is reported as `0-0`, like one byte, so an offset of 1 is not trusted.
        if not 1 < offset <= self.descriptor.size:
            return self._restart()
        self.location, self.offset = self._exchange.location(request, response), offset
        return None

    def _finish(self, location: str, start: int, deadline: Deadline) -> None:
        """Send the bytes from `start` with the PUT that ends the upload, and check its response."""
        size = self.descriptor.size
        request = self._request(
            "PUT",
            # A Location may already have a query, with the state of the upload.
            f"{location}{'&' if '?' in location else '?'}digest={self.descriptor.digest}",
            lambda: self._source.read(start, size),
            Content_Type=_OCTET_STREAM,
            Content_Length=str(size - start),
        )
        response = self._exchange.send(request, deadline)
        response.close()
        self._check(request, response)

    def _check(self, request: ApiRequest, response: Response) -> None:
        if response.status != HTTPStatus.CREATED:
            why = f"it returned {response.status}, expected 201 Created"
            raise Refused.of(request.operation, self.repository.registry, why)
        expected = self.descriptor.digest
        try:
            returned = Digest(response.headers.get("docker-content-digest", str(expected)))
        except InputError:
            return
        if returned.algorithm == expected.algorithm and returned != expected:
            raise Corrupt.of(request.operation, self.repository.registry, str(returned), str(expected))

    def _request(self, method: str, path: str, body: Body | None = None, **headers: str) -> ApiRequest:
        return ApiRequest(
            method=method,
            repository=self.repository,
            path=path,
            operation=f"push the blob {self.repository}@{self.descriptor.digest}",
            actions=PUSH,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            body=body,
        )


@dataclass(slots=True)
class _Progress:
    """Reports sent bytes to a callback, and a negative number if a try sends them again."""

    callback: Callable[[int], None] | None = None
    sent: int = 0

    def add(self, count: int) -> None:
        self.sent += count
        if self.callback and count:
            self.callback(count)

    def rewind(self, position: int) -> None:
        self.add(position - self.sent)


@dataclass(frozen=True, slots=True)
class _Source:
    """A blob in memory or in a file; `size` is the expected size in bytes."""

    data: bytes | Path
    size: int
    progress: _Progress

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to `end`. Raises ExternalError if a file is short or unreadable."""
        self.progress.rewind(start)
        data = self.data
        for part in (
            _slices(data, start, end) if isinstance(data, bytes) else self._read_file(data, start, end)
        ):
            yield part
            self.progress.add(len(part))

    def _read_file(self, path: Path, start: int, end: int) -> Iterator[bytes]:
        # urllib3 reads this while sending; it would take an OSError for a network error and retry.
        try:
            with path.open("rb") as file:
                file.seek(start)
                while start < end:
                    part = file.read(min(_READ_SIZE, end - start))
                    if not part:
                        truncated = f"truncated at byte {start}, expected {self.size} bytes"
                        raise ExternalError(f"{path}: {truncated}; rebuild the image")
                    yield part
                    start += len(part)
        except OSError as error:
            raise ExternalError(f"{path}: cannot be read: {error.strerror}") from error


def _slices(data: bytes, start: int, end: int) -> Iterator[bytes]:
    for position in range(start, end, _READ_SIZE):
        yield data[position : min(position + _READ_SIZE, end)]
