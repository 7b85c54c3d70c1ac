"""Blob downloads: small blobs to memory, large ones to a file, resumed after a broken connection."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from http import HTTPStatus
from pathlib import Path
from typing import IO

from dfgen.errors import ExternalError
from dfgen.filetree.files import renaming
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import Descriptor
from dfgen.oci.reference import Repository
from dfgen.registry.errors import Corrupt, Refused
from dfgen.registry.exchange import ApiRequest, Exchange
from dfgen.registry.retry import TWICE, Deadline, TransientError, retryable
from dfgen.registry.transport import Response, TooLargeError, read_body


def read_blob(exchange: Exchange, repository: Repository, descriptor: Descriptor, limit: int) -> bytes:
    """Read a blob to memory and check its size and digest. Raises Refused if it exceeds `limit` bytes."""
    request = _request(repository, descriptor.digest)
    if descriptor.size > limit:
        why = f"it has {descriptor.size} bytes, expected at most {limit}"
        raise Refused.of(request.operation, repository.registry, why)

    def read(response: Response, deadline: Deadline) -> bytes:
        try:
            data = read_body(response, descriptor.size, deadline)
        except TooLargeError:
            raise _wrong_size(repository, descriptor, None) from None
        if len(data) != descriptor.size:
            raise _wrong_size(repository, descriptor, len(data))
        if not descriptor.digest.matches(data):
            found = Digest.of(data, descriptor.digest.algorithm)
            raise _corrupt(repository, descriptor, str(found), str(descriptor.digest))
        return data

    return exchange.run(request, read)


def download(exchange: Exchange, repository: Repository, descriptor: Descriptor, target: Path) -> None:
    """Download a blob to `target`, which appears only once the blob is complete and verified."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.NamedTemporaryFile(dir=target.parent, prefix=".download-", delete=False) as file,
            renaming(file.name, target),
        ):
            partial = _PartialFile(file, descriptor.digest.algorithm)
            exchange.retry(
                lambda deadline: _fetch_rest(exchange, repository, descriptor, partial, deadline),
                descriptor.size,
            )
            # Durable before the rename: a crash must not leave a file with the right name and wrong bytes.
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)  # NamedTemporaryFile creates it with 0600
    except OSError as error:
        advice = "free up space or choose another folder"
        raise ExternalError(f"{target}: cannot be written: {error.strerror}; {advice}") from error


def _fetch_rest(
    exchange: Exchange,
    repository: Repository,
    descriptor: Descriptor,
    partial: _PartialFile,
    deadline: Deadline,
) -> None:
    """Continue a partial file to its end. A broken connection keeps it; wrong bytes truncate it."""
    response = exchange.send(_request(repository, descriptor.digest, partial.size), deadline)
    try:
        if partial.size and not _continues(response, partial.size):
            partial.truncate()
        for chunk in response.stream():
            partial.append(chunk)
            if partial.size > descriptor.size:
                break
            deadline.check(str(response.origin))
    finally:
        response.close()
    found, size = partial.digest, partial.size
    if size == descriptor.size and found == str(descriptor.digest):
        return
    partial.truncate()
    if size != descriptor.size:
        raise _wrong_size(repository, descriptor, size if size < descriptor.size else None)
    raise _corrupt(repository, descriptor, found, str(descriptor.digest))


def _continues(response: Response, offset: int) -> bool:
    # A server without range support ignores Range and sends the blob from the beginning.
    start = re.match(r"bytes ([0-9]{1,18})-", response.headers.get("content-range", ""))
    return response.status == HTTPStatus.PARTIAL_CONTENT and start is not None and int(start[1]) == offset


class _PartialFile:
    """The downloaded beginning of a blob, hashed as it is written so that it is not read again."""

    def __init__(self, file: IO[bytes], algorithm: str) -> None:
        self._file, self._algorithm = file, algorithm
        self.truncate()

    def truncate(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._hash, self.size = hashlib.new(self._algorithm), 0

    def append(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)

    @property
    def digest(self) -> str:
        return f"{self._algorithm}:{self._hash.hexdigest()}"


def _request(repository: Repository, digest: Digest, start: int = 0) -> ApiRequest:
    headers = {"Range": f"bytes={start}-"} if start else {}
    operation = f"pull the blob {repository}@{digest}"
    return ApiRequest(
        method="GET", repository=repository, path=f"blobs/{digest}", operation=operation, headers=headers
    )


def _wrong_size(repository: Repository, descriptor: Descriptor, size: int | None) -> TransientError:
    """Make the error for `size` bytes, or for too many bytes if `size` is None."""
    found = f"more than {descriptor.size} bytes" if size is None else f"{size} bytes"
    return _corrupt(repository, descriptor, found, f"{descriptor.size} bytes")


def _corrupt(repository: Repository, descriptor: Descriptor, found: str, expected: str) -> TransientError:
    operation = _request(repository, descriptor.digest).operation
    return retryable(Corrupt.of(operation, repository.registry, found, expected), TWICE)
