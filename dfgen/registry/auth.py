"""The Authorization header: caches each registry's challenge and fetches each token once.

Implements Basic and the token protocol of registries:
https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import base64
import math
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from urllib.parse import urlencode

from dfgen.errors import keep_secret
from dfgen.registry.credentials import Credentials, Login
from dfgen.registry.endpoint import AuthContext, Clock, Origin, Scopes, format_scopes
from dfgen.registry.errors import Refused, Unauthorized
from dfgen.registry.retry import Deadline
from dfgen.registry.transport import (
    Request,
    Response,
    TooLargeError,
    Transport,
    check_transient,
    error_message,
    read_body,
    status_text,
)
from dfgen.untrusted import read_json

_CLIENT_ID = "dfgen"
_MAX_TOKEN_BODY = 1024 * 1024  # bytes
_DEFAULT_LIFETIME = 60.0  # seconds, by the token specification if the server names no lifetime
_EXPIRY_MARGIN = 10.0  # seconds that a token is renewed early, so that it does not expire on its way
_IS_TOKEN = re.compile(r"[\x21-\x7e]+")  # printable ASCII: nothing that could end the header
_DENIED = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

_SCHEME = re.compile(r"[\s,]*([A-Za-z][\w-]*)(?:\s+|$|,)")
_TOKEN68 = re.compile(r"[\w.~+/-]+=*\s*(?:,|$)")  # follows a scheme without parameters
_PARAMETER = re.compile(r'\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*(?:[,\s]+|$)')


class Authorizer:
    """Provides the Authorization header of requests; thread-safe."""

    def __init__(self, server: TokenServer, credentials: Credentials) -> None:
        """Start with an empty cache."""
        self._server, self._credentials = server, credentials
        self._lock = threading.Lock()
        self._states: dict[str, _RegistryState] = {}

    @contextmanager
    def first_request(self, context: AuthContext, deadline: Deadline) -> Iterator[None]:
        """Let the first request to a registry run alone; others wait for it to learn the challenge.

        Without this, many threads that start at once would each get a 401.
        """
        with self._lock:
            first = context.registry not in self._states
            state = self._states.setdefault(context.registry, _RegistryState())
        if not first:
            state.ready.wait(max(0.0, deadline.remaining))
        try:
            yield
        finally:
            # After a failure too: the waiting threads then send their own requests.
            state.ready.set()

    def store_challenge(self, context: AuthContext, header: str) -> None:
        """Cache the challenge of a 401. Raises Refused if its scheme is not supported."""
        challenge = Challenge.parse(header)
        if challenge is None:
            raise Refused.of(context.operation, context.registry, _unsupported(header))
        self._states[context.registry].challenge = challenge

    def header(self, context: AuthContext, deadline: Deadline, rejected: str = "") -> str:
        """Return the header for a request, empty until the registry has sent a challenge.

        `rejected` is a header that the registry has just rejected; it is not returned again.
        Raises Unauthorized or Refused if no header can be obtained.
        """
        state = self._states[context.registry]
        if state.challenge is None:
            return ""
        if state.challenge.scheme == "basic":
            return self._basic(context, rejected)
        # A lock for each set of scopes, so that threads fetch different tokens in parallel but none twice.
        with self._lock:
            lock = state.locks.setdefault(context.scopes, threading.Lock())
        with lock:  # a thread that waited here finds the token of the first one
            token = self._cached_token(state, context.scopes, rejected)
            if token is None:
                login = self._credentials.login(context.registry)
                token = self._server.fetch(context, state.challenge, login, deadline)
                with self._lock:
                    state.tokens[context.scopes] = token
        return token.header

    def unauthorized(self, context: AuthContext) -> Unauthorized:
        """Return the error for a request whose header the registry rejected."""
        logged_in = self._credentials.login(context.registry) is not None
        return Unauthorized.of(context.operation, context.registry, logged_in)

    def _basic(self, context: AuthContext, rejected: str) -> str:
        login = self._credentials.login(context.registry)
        if login is None or not login.username or basic_header(login) == rejected:
            raise self.unauthorized(context)
        return basic_header(login)

    def _cached_token(self, state: _RegistryState, scopes: Scopes, rejected: str) -> Token | None:
        """Return an unexpired token for these scopes or more; drop expired and rejected tokens."""
        with self._lock:
            state.tokens = {
                covered: token
                for covered, token in state.tokens.items()
                if token.header != rejected and not self._server.is_expired(token)
            }
            return next((token for covered, token in state.tokens.items() if scopes <= covered), None)


@dataclass(slots=True)
class _RegistryState:
    ready: threading.Event = field(default_factory=threading.Event)  # set after the first request
    challenge: Challenge | None = None
    tokens: dict[Scopes, Token] = field(default_factory=dict)
    locks: dict[Scopes, threading.Lock] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Token:
    """A token as Authorization header; `expires` is when it is no longer used, by the client's clock."""

    header: str = field(repr=False)
    expires: float


class TokenServer:
    """Fetches tokens from the realm that a registry names; sends the login only if the realm may have it."""

    def __init__(self, transport: Transport, clock: Clock, idle_timeout: float) -> None:
        """`idle_timeout` is in seconds."""
        self._transport, self._clock, self._idle_timeout = transport, clock, idle_timeout

    def is_expired(self, token: Token) -> bool:
        """Return whether a token should no longer be used."""
        return self._clock.now() >= token.expires

    def fetch(
        self, context: AuthContext, challenge: Challenge, login: Login | None, deadline: Deadline
    ) -> Token:
        """Fetch a token with the login, or an anonymous one if `login` is None.

        Raises Unauthorized if the server denies it, Refused if the realm or the response cannot be used.
        """
        realm = _realm_url(context, challenge, login)
        # The lifetime counts from before the request, to be on the safe side.
        requested = self._clock.now()
        request = replace(
            _token_request(realm, challenge, context, login),
            timeout=deadline.timeout(self._idle_timeout),
            total_timeout=deadline.remaining,
        )
        response = self._transport.send(request)
        try:
            check_transient(response, self._clock)
            if response.status != HTTPStatus.OK:
                raise _denied(context, response, login, deadline)
            return _parse_token(context, response, requested, deadline)
        finally:
            response.close()


def _realm_url(context: AuthContext, challenge: Challenge, login: Login | None) -> str:
    endpoint = context.endpoint
    try:
        realm = endpoint.follow(endpoint.base_url, challenge.realm)
    except ValueError as error:
        why = f"its token server was rejected: {error}"
        raise Refused.of(context.operation, context.registry, why) from error
    origin = Origin.of(realm)
    if login and not endpoint.may_receive_login(origin):
        why = f"its token server {origin} is another host and not both use HTTPS, so the login was not sent"
        raise Refused.of(context.operation, context.registry, why)
    return realm


def _token_request(realm: str, challenge: Challenge, context: AuthContext, login: Login | None) -> Request:
    scopes = format_scopes(context.scopes)
    service = [("service", challenge.service)] if challenge.service else []
    if login and login.identity_token:
        # OAuth2: https://distribution.github.io/distribution/spec/auth/oauth/
        form = [
            ("grant_type", "refresh_token"),
            ("client_id", _CLIENT_ID),
            *service,
            ("scope", " ".join(scopes)),
            ("refresh_token", login.identity_token),
        ]
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Request(method="POST", url=realm, headers=headers, body=urlencode(form).encode())
    query = urlencode([*service, *(("scope", scope) for scope in scopes)])
    url = f"{realm}{'&' if '?' in realm else '?'}{query}"
    headers = {"Authorization": basic_header(login)} if login else {}
    return Request(method="GET", url=url, headers=headers)


def basic_header(login: Login) -> str:
    """Return the header of Basic authentication."""
    encoded = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
    keep_secret(encoded, encoded.rstrip("="))
    return f"Basic {encoded}"


def _denied(context: AuthContext, response: Response, login: Login | None, deadline: Deadline) -> Exception:
    if response.status in _DENIED:
        return Unauthorized.of(context.operation, context.registry, login is not None)
    message = error_message(response, deadline)
    why = f"its token server {response.origin} returned {status_text(response.status)}"
    return Refused.of(context.operation, context.registry, f"{why}: {message}" if message else why)


def _parse_token(context: AuthContext, response: Response, requested: float, deadline: Deadline) -> Token:
    try:
        data = read_json(read_body(response, _MAX_TOKEN_BODY, deadline))
        text = data.get("token") or data.get("access_token")
    except (TooLargeError, ValueError, AttributeError):
        data, text = {}, None
    if not isinstance(text, str) or not _IS_TOKEN.fullmatch(text):
        why = f"its token server {response.origin} returned no token"
        raise Refused.of(context.operation, context.registry, why)
    keep_secret(text)
    lifetime = _lifetime(data.get("expires_in"))
    return Token(f"Bearer {text}", requested + lifetime - min(_EXPIRY_MARGIN, lifetime / 10))


def _lifetime(expires_in: object) -> float:
    """Return the lifetime in seconds, or the default if `expires_in` is not a finite number."""
    try:
        seconds = float(expires_in or _DEFAULT_LIFETIME)  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError):
        return _DEFAULT_LIFETIME
    return seconds if math.isfinite(seconds) else _DEFAULT_LIFETIME


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of WWW-Authenticate; `scheme` is lower case, a bearer `realm` is a token server's URL."""

    scheme: str
    realm: str = ""
    service: str = ""

    @classmethod
    def parse(cls, header: str) -> Challenge | None:
        """Choose from the challenges of a header: Bearer with a realm, else Basic, else None.

        https://www.rfc-editor.org/rfc/rfc9110#name-www-authenticate
        """
        found = {challenge.scheme: challenge for challenge in _challenges(header)}
        bearer = found.get("bearer")
        return bearer if bearer and bearer.realm else found.get("basic")


def _challenges(header: str) -> list[Challenge]:
    # Commas separate both challenges and their parameters, so the header cannot simply be split at them.
    found: list[Challenge] = []
    position = 0
    while scheme := _SCHEME.match(header, position):
        token = None if scheme[0].endswith(",") else _TOKEN68.match(header, scheme.end())
        position = token.end() if token else scheme.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, position):
            name, quoted, plain = parameter.groups()
            parameters[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            position = parameter.end()
        found.append(Challenge(scheme[1].lower(), parameters.get("realm", ""), parameters.get("service", "")))
    return found


def _unsupported(header: str) -> str:
    if not header.split():
        return "it requires a login but names no authentication scheme, expected Bearer or Basic"
    scheme = header.split(maxsplit=1)[0]
    if scheme.lower() == "bearer":
        return "it requires a token but names no token server (no realm in WWW-Authenticate)"
    return f"it requires {scheme} authentication, expected Bearer or Basic"
