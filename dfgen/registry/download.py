"""Blobs from a registry: small ones to memory, large ones to a file, resumed where they broke off."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from http import HTTPStatus
from pathlib import Path
from typing import IO

from dfgen.errors import OutsideError
from dfgen.filetree.files import renaming
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import Descriptor
from dfgen.oci.reference import Repository
from dfgen.registry.errors import Corrupt, Refused
from dfgen.registry.exchange import Ask, Exchange
from dfgen.registry.manifests import TWICE
from dfgen.registry.retry import Deadline, Fault, again
from dfgen.registry.transport import Response, TooLargeError, read_all

_PARTIAL = HTTPStatus.PARTIAL_CONTENT


def _ask(repository: Repository, digest: Digest, start: int = 0) -> Ask:
    headers = {"Range": f"bytes={start}-"} if start else {}
    doing = f"pull the blob {repository}@{digest}"
    return Ask(method="GET", repository=repository, path=f"blobs/{digest}", doing=doing, headers=headers)


def _corrupt(repository: Repository, descriptor: Descriptor, found: str, expected: str) -> Fault:
    doing = _ask(repository, descriptor.digest).doing
    return again(Corrupt.of(repository.registry, doing, found, expected), TWICE)


def read_blob(exchange: Exchange, repository: Repository, descriptor: Descriptor, limit: int) -> bytes:
    """Read a blob of at most `limit` bytes, checked for size and digest."""
    ask = _ask(repository, descriptor.digest)
    if descriptor.size > limit:
        why = f"it has {descriptor.size} bytes, expected at most {limit}"
        raise Refused.to(ask.doing, repository.registry, why)

    def read(response: Response, deadline: Deadline) -> bytes:
        """Tell too many bytes, too few and other bytes apart."""
        try:
            data = read_all(response, descriptor.size, deadline)
        except TooLargeError:
            raise _corrupt(repository, descriptor, "more bytes", f"{descriptor.size} bytes") from None
        if len(data) != descriptor.size:
            raise _corrupt(repository, descriptor, f"{len(data)} bytes", f"{descriptor.size} bytes")
        if not descriptor.digest.matches(data):
            found = Digest.of(data, descriptor.digest.algorithm)
            raise _corrupt(repository, descriptor, str(found), str(descriptor.digest))
        return data

    return exchange.run(ask, read)


class _Partial:
    """The part of a blob that is there, hashed on the way."""

    def __init__(self, file: IO[bytes], algorithm: str) -> None:
        self._file, self._algorithm = file, algorithm
        self.restart()

    def restart(self) -> None:
        """Throw away what is there."""
        self._file.seek(0)
        self._file.truncate()
        self._hash, self.size = hashlib.new(self._algorithm), 0

    def add(self, piece: bytes) -> None:
        """Write the bytes that follow."""
        self._file.write(piece)
        self._hash.update(piece)
        self.size += len(piece)

    @property
    def digest(self) -> str:
        """Of what is there so far, as `algorithm:hex`."""
        return f"{self._algorithm}:{self._hash.hexdigest()}"


def _continues(response: Response, offset: int) -> bool:
    """Whether an answer goes on where we stopped: a server without Range begins again."""
    start = re.match(r"bytes ([0-9]{1,18})-", response.headers.get("content-range", ""))
    return response.status == _PARTIAL and start is not None and int(start[1]) == offset


def _fill(
    exchange: Exchange, repository: Repository, descriptor: Descriptor, partial: _Partial, deadline: Deadline
) -> None:
    response = exchange.send(_ask(repository, descriptor.digest, partial.size), deadline)
    try:
        if partial.size and not _continues(response, partial.size):
            partial.restart()
        for piece in response.stream():
            partial.add(piece)
            if partial.size > descriptor.size:
                break
            deadline.check(str(response.origin))
    finally:
        response.close()
    found, size = partial.digest, partial.size
    if size == descriptor.size and found == str(descriptor.digest):
        return
    partial.restart()
    if size != descriptor.size:
        count = "more bytes" if size > descriptor.size else f"{size} bytes"
        raise _corrupt(repository, descriptor, count, f"{descriptor.size} bytes")
    raise _corrupt(repository, descriptor, found, str(descriptor.digest))


def download(exchange: Exchange, repository: Repository, descriptor: Descriptor, target: Path) -> None:
    """Write a blob to a file that appears only when it is whole and checked."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.NamedTemporaryFile(dir=target.parent, prefix=".download-", delete=False) as file,
            renaming(file.name, target),
        ):
            partial = _Partial(file, descriptor.digest.algorithm)
            exchange.persist(
                lambda deadline: _fill(exchange, repository, descriptor, partial, deadline),
                descriptor.size,
            )
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
    except OSError as error:
        advice = "make room or choose another folder"
        raise OutsideError(f"{target}: cannot be written: {error.strerror}; {advice}") from error
