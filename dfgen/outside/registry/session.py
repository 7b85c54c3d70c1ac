"""One blob's upload: in one request, or in pieces where the registry wants it so."""

from __future__ import annotations

import re
from http import HTTPStatus

from dfgen.errors import InputError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import Descriptor
from dfgen.oci.reference import Repository
from dfgen.outside.registry.answers import number
from dfgen.outside.registry.errors import Corrupt, Missing, Refused, RegistryError
from dfgen.outside.registry.exchange import Ask, Exchange
from dfgen.outside.registry.purpose import PUSH
from dfgen.outside.registry.retry import FEW, Deadline, again
from dfgen.outside.registry.source import Source
from dfgen.outside.registry.transport import Body, Response

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
