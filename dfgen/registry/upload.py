"""Blobs to a registry: skipped where they are, mounted where they can be, else streamed from disk."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from http import HTTPStatus
from pathlib import Path

from dfgen.errors import InputError, OutsideError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import Descriptor
from dfgen.oci.reference import Repository
from dfgen.registry.endpoint import PULL, PUSH, scopes_of
from dfgen.registry.errors import Corrupt, Forbidden, Missing, Refused, RegistryError, Unauthorized
from dfgen.registry.exchange import Ask, Exchange
from dfgen.registry.retry import FEW, Deadline, again
from dfgen.registry.transport import Body, Response, number

_PIECE = 256 * 1024  # bytes read and sent at a time


@dataclass(slots=True)
class Progress:
    """Counts the bytes sent, and takes them back when a try starts over."""

    tell: Callable[[int], None] | None = None
    sent: int = 0

    def add(self, count: int) -> None:
        """Tell that so many bytes are on their way."""
        self.sent += count
        if self.tell and count:
            self.tell(count)

    def rewind(self, position: int = 0) -> None:
        """Tell that only the bytes before `position` count."""
        self.add(position - self.sent)


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes or a file of a known size."""

    data: bytes | Path
    size: int
    progress: Progress

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` to `end`; a file that is shorter or cannot be read is an OutsideError."""
        self.progress.rewind(start)
        data = self.data
        for piece in _slices(data, start, end) if isinstance(data, bytes) else self._read(data, start, end):
            yield piece
            self.progress.add(len(piece))

    def _read(self, path: Path, start: int, end: int) -> Iterator[bytes]:
        # Its errors must not be OSErrors: inside a request those are taken for the network's.
        try:
            with path.open("rb") as file:
                file.seek(start)
                while start < end:
                    piece = file.read(min(_PIECE, end - start))
                    if not piece:
                        short = f"ends at byte {start}, expected {self.size} bytes"
                        raise OutsideError(f"{path}: {short}; build it again")
                    yield piece
                    start += len(piece)
        except OSError as error:
            raise OutsideError(f"{path}: cannot be read: {error.strerror}") from error


def _slices(data: bytes, start: int, end: int) -> Iterator[bytes]:
    for position in range(start, end, _PIECE):
        yield data[position : min(position + _PIECE, end)]


_BYTES = "application/octet-stream"


class Session:
    """An upload that may take several tries: it knows where the registry wants the rest, and what it has."""

    def __init__(
        self, exchange: Exchange, repository: Repository, descriptor: Descriptor, source: Source, chunk: int
    ) -> None:
        """Begin nothing yet."""
        self._exchange, self._source, self._chunk = exchange, source, chunk
        self.repository, self.descriptor = repository, descriptor
        self._least = 1  # bytes that a piece has to have
        self.location = ""
        self.offset = 0  # bytes that the registry is known to have
        self.tried = False
        self.pieces = False  # whether this registry has refused it as a whole

    def whole(self, deadline: Deadline) -> None:
        """Send everything with one PUT; a failed one leaves no session behind."""
        self.tried = True
        location = self._begin(deadline)
        self.location = ""
        try:
            self._finish(location, 0, deadline)
        except Missing as error:
            raise again(error, FEW) from error

    def in_pieces(self, deadline: Deadline) -> None:
        """Send piece by piece, after a failure from where the registry says that it is."""
        if self.location and self.tried:
            self._ask_where(deadline)
        self.tried = True
        self.location = self._begin(deadline)
        try:
            while self.offset < self.descriptor.size:
                self._send_piece(deadline)
            self._finish(self.location, self.descriptor.size, deadline)
        except Missing as error:
            self.forget()
            raise again(error, FEW) from error
        except Refused as error:
            # Out of step with the registry, or more at once than something on the way lets through.
            self._chunk = max(self._chunk // 4, self._least)
            raise again(error, FEW) from error

    def forget(self) -> None:
        """Start over."""
        self.location, self.offset = "", 0

    def _request(self, method: str, path: str, body: Body | None = None, **headers: str) -> Ask:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        doing = f"push the blob {self.repository}@{self.descriptor.digest}"
        return Ask(
            method=method,
            repository=self.repository,
            path=path,
            doing=doing,
            actions=PUSH,
            headers=named,
            body=body,
        )

    def _begin(self, deadline: Deadline) -> str:
        if self.location:
            return self.location
        ask = self._request("POST", "blobs/uploads/", b"")
        response = self._exchange.send(ask, deadline)
        response.close()
        self._least = number(response.headers.get("oci-chunk-min-length", "")) or 1
        self._chunk = max(self._chunk, self._least)
        return self._exchange.location(ask, response)

    def _send_piece(self, deadline: Deadline) -> None:
        start, end = self.offset, min(self.offset + self._chunk, self.descriptor.size)
        ask = self._request(
            "PATCH",
            self.location,
            lambda: self._source.pieces(start, end),
            Content_Type=_BYTES,
            Content_Range=f"{start}-{end - 1}",
            Content_Length=str(end - start),
        )
        response = self._exchange.send(ask, deadline)
        response.close()
        self.location, self.offset = self._exchange.location(ask, response), end

    def _ask_where(self, deadline: Deadline) -> None:
        """Ask how far the registry is; a session that it does not know any more starts over."""
        ask = self._request("GET", self.location)
        try:
            response = self._exchange.send(ask, deadline)
        except RegistryError:
            return self.forget()
        response.close()
        reached = re.fullmatch(r"(?:bytes=)?0-([0-9]{1,18})", response.headers.get("range", ""))
        known = int(reached[1]) + 1 if reached else 0
        if not 1 < known <= self.descriptor.size:
            return self.forget()
        self.location, self.offset = self._exchange.location(ask, response), known
        return None

    def _finish(self, location: str, start: int, deadline: Deadline) -> None:
        size = self.descriptor.size
        url = f"{location}{'&' if '?' in location else '?'}digest={self.descriptor.digest}"
        ask = self._request(
            "PUT",
            url,
            lambda: self._source.pieces(start, size),
            Content_Type=_BYTES,
            Content_Length=str(size - start),
        )
        response = self._exchange.send(ask, deadline)
        response.close()
        self._check(ask, response)

    def _check(self, ask: Ask, response: Response) -> None:
        if response.status != HTTPStatus.CREATED:
            why = f"it answers {response.status}, expected 201 Created"
            raise Refused.to(ask.doing, self.repository.registry, why)
        try:
            named = Digest(response.headers.get("docker-content-digest", str(self.descriptor.digest)))
        except InputError:
            return
        if named.algorithm == self.descriptor.digest.algorithm and named != self.descriptor.digest:
            raise Corrupt.of(self.repository.registry, ask.doing, str(named), str(self.descriptor.digest))


class Uploaded(Enum):
    """How a blob came to be in a repository."""

    SKIPPED = "skipped"  # it was there
    MOUNTED = "mounted"  # the registry took it from another of its repositories
    UPLOADED = "uploaded"


def has_blob(
    exchange: Exchange, repository: Repository, digest: Digest, actions: tuple[str, ...] = PULL
) -> bool:
    """Whether a repository has a blob: one HEAD, or a GET of which nothing is read where HEAD is not known.

    A registry that does not say is taken for one without it.
    """
    ask = _look(repository, digest, actions)
    for method in ("HEAD", "GET"):
        try:
            return exchange.run(replace(ask, method=method), lambda _response, _deadline: True)
        except Missing:
            return False
        except Refused:
            continue
    return False


def _look(repository: Repository, digest: Digest, actions: tuple[str, ...]) -> Ask:
    doing = f"look for the blob {repository}@{digest}"
    return Ask(method="HEAD", repository=repository, path=f"blobs/{digest}", doing=doing, actions=actions)


class Uploader:
    """Uploads of one run; remembers which registries want blobs in pieces."""

    def __init__(self, exchange: Exchange, chunk: int) -> None:
        """`chunk` is the size of a piece in bytes."""
        self._exchange, self._chunk = exchange, chunk
        self._in_pieces: set[str] = set()

    def upload(
        self,
        repository: Repository,
        descriptor: Descriptor,
        source: Path | bytes,
        mount_from: Sequence[Repository] = (),
        progress: Callable[[int], None] | None = None,
    ) -> Uploaded:
        """Look, mount, or send; nothing is sent that is there already, even if a lost answer hid it."""
        if has_blob(self._exchange, repository, descriptor.digest, PUSH):
            return Uploaded.SKIPPED
        location = self._mount(repository, descriptor, mount_from)
        if location is None:
            if has_blob(self._exchange, repository, descriptor.digest, PUSH):
                return Uploaded.MOUNTED
            location = ""  # some registries say that they have mounted what they have not
        content = Source(source, descriptor.size, Progress(progress))
        session = Session(self._exchange, repository, descriptor, content, self._chunk)
        session.location = location
        self._exchange.persist(lambda deadline: self._deliver(session, deadline), descriptor.size)
        return Uploaded.UPLOADED

    def _deliver(self, session: Session, deadline: Deadline) -> None:
        """Try once: in one request, unless the registry has shown that it wants pieces."""
        if session.tried and self._arrived(session, deadline):
            return
        registry = session.repository.registry
        if not session.pieces and registry not in self._in_pieces:
            try:
                session.whole(deadline)
                return
            except Refused:
                session.pieces = True
        session.in_pieces(deadline)
        self._in_pieces.add(registry)

    def _arrived(self, session: Session, deadline: Deadline) -> bool:
        """Whether it was only the answer to the last try that got lost."""
        try:
            self._exchange.send(_look(session.repository, session.descriptor.digest, PUSH), deadline).close()
        except (Missing, Refused):
            return False
        return True

    def mount(self, repository: Repository, descriptor: Descriptor, other: Repository) -> bool:
        """Take a blob over from another repository of the same registry, if that can be done there."""
        return self._mount(repository, descriptor, [other]) is None

    def _mount(
        self, repository: Repository, descriptor: Descriptor, others: Iterable[Repository]
    ) -> str | None:
        """Try each repository; None when one was mounted, else where an upload has begun instead, if any."""
        location = ""
        for other in others:
            if other.registry != repository.registry or other == repository:
                continue
            ask = Ask(
                method="POST",
                repository=repository,
                path=f"blobs/uploads/?mount={descriptor.digest}&from={other.path}",
                doing=f"mount {other}@{descriptor.digest} in {repository}",
                actions=PUSH,
                also=scopes_of(other.path),
                body=b"",
            )
            try:
                begun = self._exchange.run(ask, functools.partial(self._begun, ask))
            except (Unauthorized, Forbidden, Missing, Refused):
                continue
            if begun is None:
                return None
            location = begun
        return location

    def _begun(self, ask: Ask, response: Response, _deadline: Deadline) -> str | None:
        if response.status == HTTPStatus.CREATED:
            return None
        return self._exchange.location(ask, response)
