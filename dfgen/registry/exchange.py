"""One request to a registry: authorized, redirected, judged and, when it fails, tried again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TypeVar

from dfgen.oci.reference import Repository
from dfgen.registry.auth import Authorizer, TokenServer
from dfgen.registry.credentials import Credentials
from dfgen.registry.endpoint import PULL, Clock, Origin, Purpose, RegistryOptions, Scopes, Site, scopes_of
from dfgen.registry.errors import Forbidden, Missing, Refused, RegistryError
from dfgen.registry.retry import FEW, Deadline, Fault, broken, persist
from dfgen.registry.transport import (
    Body,
    Quota,
    Request,
    Response,
    Transport,
    check_passing,
    status_words,
    words_of,
)

T = TypeVar("T")

_MOVED = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_SLOWEST = 64 * 1024  # bytes a second: a transfer's deadline grows by its size over this
_ADVICE = {
    405: "it may be read-only, or a mirror; push to another",
    413: "raise the limit for the body of a request there, or of the proxy before it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request. `path` is below the repository (`manifests/1.0`) or, for a Location, a whole URL."""

    method: str
    repository: Repository
    path: str
    doing: str
    actions: tuple[str, ...] = PULL
    also: Scopes = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None


class Exchange:
    """Sends requests for one run; thread-safe."""

    def __init__(
        self, options: RegistryOptions, transport: Transport, credentials: Credentials, clock: Clock
    ) -> None:
        """Open nothing yet."""
        self._options, self._transport, self._clock = options, transport, clock
        self._auth = Authorizer(TokenServer(transport, clock, options.silence), credentials)
        self.quota: dict[str, Quota] = {}
        self._absent: set[str] = set()

    def run(self, ask: Ask, read: Callable[[Response, Deadline], T]) -> T:
        """Send until an answer has been read."""

        def attempt(deadline: Deadline) -> T:
            """The answer is closed however its reading ends, so that the connection is free again."""
            response = self.send(ask, deadline)
            try:
                return read(response, deadline)
            finally:
                response.close()

        return self.persist(attempt)

    def probe(self, ask: Ask) -> None:
        """Send once for what the headers say; whatever goes wrong is nothing."""
        with contextlib.suppress(Fault, RegistryError):
            self.send(ask, Deadline(self._clock, self._options.deadline)).close()

    def persist(self, attempt: Callable[[Deadline], T], size: int = 0) -> T:
        """Try an operation that moves `size` bytes until it works or its time is over."""
        return persist(attempt, self._clock, self._options.deadline + size / _SLOWEST, self._absent)

    def send(self, ask: Ask, deadline: Deadline) -> Response:
        """Send once; the answer's status is a success, anything else is a Fault or a RegistryError."""
        purpose = self._purpose(ask)
        with self._auth.first(purpose, deadline):
            header = self._auth.header(purpose, deadline)
            response = self._send(ask, purpose, header, deadline)
            unauthorized = self._asks_login(response, purpose)
            if unauthorized:
                response.close()
                self._auth.learn(purpose, response.headers.get("www-authenticate", ""))
        if unauthorized:
            header = self._auth.header(purpose, deadline, refused=header)
            response = self._send(ask, purpose, header, deadline)
        if response.status < HTTPStatus.MULTIPLE_CHOICES:
            return response
        try:
            raise self._error(response, purpose, deadline)
        finally:
            response.close()

    def location(self, ask: Ask, response: Response) -> str:
        """Where an upload goes on, as the registry says."""
        site = Site.of(ask.repository.registry, self._options)
        try:
            return site.follow(response.url, response.headers["location"])
        except KeyError as error:
            why = "it does not say where (no Location header)"
            raise Refused.to(ask.doing, site.registry, why) from error
        except ValueError as error:
            raise Refused.to(ask.doing, site.registry, f"its address is refused: {error}") from error

    def _purpose(self, ask: Ask) -> Purpose:
        site = Site.of(ask.repository.registry, self._options)
        scopes = scopes_of(ask.repository.path, ask.actions) | ask.also
        return Purpose(site=site, scopes=scopes, doing=ask.doing)

    def _asks_login(self, response: Response, purpose: Purpose) -> bool:
        unauthorized = response.status == HTTPStatus.UNAUTHORIZED
        return unauthorized and response.origin == purpose.site.origin

    def _send(self, ask: Ask, purpose: Purpose, header: str, deadline: Deadline) -> Response:
        """Send and follow redirects; only the registry itself ever sees the Authorization header."""
        whole = "://" in ask.path
        url = ask.path if whole else f"{purpose.site.base}/v2/{ask.repository.path}/{ask.path}"
        for _ in range(_MOST_REDIRECTS + 1):
            at_home = Origin.of(url) == purpose.site.origin
            headers = {**ask.headers, "Authorization": header} if header and at_home else ask.headers
            timeout = deadline.timeout(self._options.silence)
            request = Request(method=ask.method, url=url, headers=headers, body=ask.body)
            response = self._transport.send(replace(request, timeout=timeout, within=deadline.left))
            if at_home and (quota := Quota.read(response.headers)):
                self.quota[purpose.registry] = quota
            if response.status not in _MOVED:
                return response
            response.close()
            url = self.location(ask, response)
        raise Refused.to(ask.doing, purpose.registry, f"more than {_MOST_REDIRECTS} redirects")

    def _error(self, response: Response, purpose: Purpose, deadline: Deadline) -> RegistryError:
        check_passing(response, self._clock)
        if response.origin != purpose.site.origin:
            # A storage host's signed address that has run out is a new one after the next redirect.
            raise broken(str(response.origin), f"it answers {status_words(response.status)}", FEW)
        said = words_of(response, deadline)
        match response.status:
            case HTTPStatus.UNAUTHORIZED:
                return self._auth.unauthorized(purpose)
            case HTTPStatus.FORBIDDEN:
                return Forbidden.to(purpose.doing, purpose.registry, said)
            case HTTPStatus.NOT_FOUND:
                return Missing.to(purpose.doing, purpose.registry, said)
        answer = f"it answers {status_words(response.status)}"
        why = f"{answer}: {said}" if said else answer
        advice = _ADVICE.get(response.status, "") if purpose.writes else ""
        return Refused.to(purpose.doing, purpose.registry, why, advice)
