"""Blobs to a registry: skipped where they are, mounted where they can be, else streamed from disk."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from enum import Enum
from http import HTTPStatus
from pathlib import Path

from dfgen.oci.digest import Digest
from dfgen.oci.manifest import Descriptor
from dfgen.oci.reference import Repository
from dfgen.outside.registry.errors import Forbidden, Missing, Refused, Unauthorized
from dfgen.outside.registry.exchange import Ask, Exchange
from dfgen.outside.registry.purpose import PULL, PUSH, scopes_of
from dfgen.outside.registry.retry import Deadline
from dfgen.outside.registry.session import Session
from dfgen.outside.registry.source import Progress, Source
from dfgen.outside.registry.transport import Response


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
