"""Registry API requests: authorization, redirects, error statuses and retries."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar

from dfgen.oci.reference import Repository
from dfgen.registry.auth import Authorizer, TokenServer
from dfgen.registry.credentials import Credentials
from dfgen.registry.endpoint import (
    PULL,
    AuthContext,
    Clock,
    Endpoint,
    Origin,
    RegistryOptions,
    Scopes,
    scopes_for,
)
from dfgen.registry.errors import Forbidden, Missing, Refused, RegistryError, Unreachable
from dfgen.registry.retry import FEW, TWICE, Deadline, TransientError, retry, retryable, unavailable
from dfgen.registry.transport import (
    Body,
    Quota,
    Request,
    Response,
    Transport,
    check_transient,
    error_message,
    status_text,
)

T = TypeVar("T")

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5
_MIN_RATE = 64 * 1024  # bytes a second: a transfer of n bytes gets n / _MIN_RATE seconds more
_WRITE_ADVICE = {
    405: "it may be read-only or a mirror; push to another registry",
    413: "raise the request size limit of the registry, or of the proxy in front of it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """One request of the registry API, by https://github.com/opencontainers/distribution-spec.

    `path` is relative to the repository (`manifests/1.0`), or a full URL from a Location header.
    `operation` describes the request in messages: `pull docker.io/library/nginx:1.28`.
    """

    method: str
    repository: Repository
    path: str
    operation: str
    actions: tuple[str, ...] = PULL
    extra_scopes: Scopes = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    advice: Mapping[int, str] = field(default_factory=dict)  # by status, for errors of this request


class Exchange:
    """Sends the API requests of one run; thread-safe."""

    def __init__(
        self, options: RegistryOptions, transport: Transport, credentials: Credentials, clock: Clock
    ) -> None:
        """Send nothing yet."""
        self._options, self._transport, self._clock = options, transport, clock
        self._auth = Authorizer(TokenServer(transport, clock, options.idle_timeout), credentials)
        self.quota: dict[str, Quota] = {}
        self._unreachable_hosts: set[str] = set()

    def run(self, request: ApiRequest, read: Callable[[Response, Deadline], T]) -> T:
        """Send with retries and return what `read` makes of the response; it may raise TransientError."""

        def attempt(deadline: Deadline) -> T:
            response = self.send(request, deadline)
            try:
                return read(response, deadline)
            finally:
                response.close()

        return self.retry(attempt)

    def probe(self, request: ApiRequest) -> None:
        """Send once, only to update `quota` from the headers; ignore errors of the registry."""
        with contextlib.suppress(TransientError, RegistryError):
            self.send(request, Deadline(self._clock, self._options.deadline)).close()

    def retry(self, attempt: Callable[[Deadline], T], size: int = 0) -> T:
        """Run an operation that transfers `size` bytes with retries, within its deadline."""
        seconds = self._options.deadline + size / _MIN_RATE
        return retry(attempt, self._clock, seconds, self._unreachable_hosts)

    def send(self, request: ApiRequest, deadline: Deadline) -> Response:
        """Send once and return a successful response, which the caller closes.

        Answers one authorization challenge. Raises TransientError or RegistryError for any other status.
        """
        context = self._context(request)
        with self._auth.first_request(context, deadline):
            header = self._auth.header(context, deadline)
            response = self._send(request, context, header, deadline)
            challenged = _is_challenge(response, context)
            if challenged:
                response.close()
                self._auth.store_challenge(context, response.headers.get("www-authenticate", ""))
        if challenged:
            # Also if a header was sent: a token may be revoked, or expire early by the registry's clock.
            header = self._auth.header(context, deadline, rejected=header)
            response = self._send(request, context, header, deadline)
        if response.status < HTTPStatus.MULTIPLE_CHOICES:
            return response
        try:
            raise self._error(response, context, deadline)
        finally:
            response.close()

    def location(self, request: ApiRequest, response: Response) -> str:
        """Return the URL of a response's Location header. Raises Refused if it is missing or not allowed."""
        endpoint = Endpoint.of(request.repository.registry, self._options)
        try:
            return endpoint.follow(response.url, response.headers["location"])
        except KeyError as error:
            why = "it returned no Location header"
            raise Refused.of(request.operation, endpoint.registry, why) from error
        except ValueError as error:
            why = f"its Location header was rejected: {error}"
            raise Refused.of(request.operation, endpoint.registry, why) from error

    def _context(self, request: ApiRequest) -> AuthContext:
        endpoint = Endpoint.of(request.repository.registry, self._options)
        scopes = scopes_for(request.repository.path, request.actions) | request.extra_scopes
        return AuthContext(
            endpoint=endpoint, scopes=scopes, operation=request.operation, advice=request.advice
        )

    def _send(self, request: ApiRequest, context: AuthContext, header: str, deadline: Deadline) -> Response:
        """Send and follow redirects."""
        is_url = "://" in request.path
        base_url = context.endpoint.base_url
        url = request.path if is_url else f"{base_url}/v2/{request.repository.path}/{request.path}"
        for _ in range(_MAX_REDIRECTS + 1):
            # Blobs are often redirected to a storage host, which must not see the Authorization header.
            is_registry = Origin.of(url) == context.endpoint.origin
            authorization = {"Authorization": header} if header and is_registry else {}
            http_request = Request(
                method=request.method,
                url=url,
                headers={**request.headers, **authorization},
                body=request.body,
                timeout=deadline.timeout(self._options.idle_timeout),
                total_timeout=deadline.remaining,
            )
            try:
                response = self._transport.send(http_request)
            except TransientError as error:
                if is_registry:
                    raise
                raise _elsewhere(error, context, Origin.of(url)) from error.__cause__
            if is_registry and (quota := Quota.parse(response.headers)):
                self.quota[context.registry] = quota
            if response.status not in _REDIRECTS:
                return response
            response.close()
            url = self.location(request, response)
        looping = Refused.of(request.operation, context.registry, f"more than {_MAX_REDIRECTS} redirects")
        raise retryable(looping, TWICE)

    def _error(self, response: Response, context: AuthContext, deadline: Deadline) -> RegistryError:
        check_transient(response, self._clock)
        cause = f"it returned {status_text(response.status)}"
        if response.origin != context.endpoint.origin:
            # The signed URL of a storage host may have expired; the next redirect has a new one.
            raise unavailable(str(response.origin), cause, FEW)
        message = error_message(response, deadline)
        match response.status:
            case HTTPStatus.UNAUTHORIZED:
                return self._auth.unauthorized(context)
            case HTTPStatus.FORBIDDEN:
                return Forbidden.of(context.operation, context.registry, message)
            case HTTPStatus.NOT_FOUND if HTTPStatus.NOT_FOUND not in context.advice:
                return Missing.of(context.operation, context.registry, message)
        advice = context.advice.get(response.status, "")
        if context.writes and not advice:
            advice = _WRITE_ADVICE.get(response.status, "")
        why = f"{cause}: {message}" if message else cause
        return Refused.of(context.operation, context.registry, why, advice)


def _elsewhere(error: TransientError, context: AuthContext, origin: Origin) -> TransientError:
    """Say that the registry sent this client to another server: the user has never named that one."""
    is_same_host = origin.host == context.endpoint.origin.host
    fix = "; its proxy has to pass on the Host header with its port" if is_same_host else ""

    def final_error(tries: int, seconds: float) -> RegistryError:
        failed = error.final_error(tries, seconds)
        start = f"{context.registry}: cannot {context.operation}: it refers to {origin.scheme}://{origin}"
        final = Unreachable(f"{start}: {failed}{fix}")
        final.unreachable = failed.unreachable
        return final

    found = TransientError(final_error, error.max_tries, error.retry_after)
    found.unreachable_host = error.unreachable_host
    return found


def _is_challenge(response: Response, context: AuthContext) -> bool:
    # A 401 of a storage host does not concern the login for the registry.
    return response.status == HTTPStatus.UNAUTHORIZED and response.origin == context.endpoint.origin
