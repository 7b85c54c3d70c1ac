"""The Authorization header: what each registry asks for is remembered, and each token is fetched once."""

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

from dfgen.registry.credentials import Credentials, Login
from dfgen.registry.endpoint import Clock, Origin, Purpose, Scopes, spell
from dfgen.registry.errors import Refused, Unauthorized
from dfgen.registry.retry import Deadline
from dfgen.registry.transport import (
    Request,
    Response,
    TooLargeError,
    Transport,
    check_passing,
    read_all,
    status_words,
    words_of,
)
from dfgen.untrusted import read_json

_SCHEME = re.compile(r"[\s,]*([A-Za-z][\w-]*)(?:\s+|$|,)")
_TOKEN = re.compile(r"[\w.~+/-]+=*\s*(?:,|$)")  # what follows the name of schemes without parameters
_PARAMETER = re.compile(r'\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*(?:[,\s]+|$)')


@dataclass(frozen=True, slots=True)
class Challenge:
    """A scheme in lower case; realm and service are those of a token server for `bearer`."""

    scheme: str
    realm: str = ""
    service: str = ""

    @classmethod
    def parse(cls, header: str) -> Challenge | None:
        """Read the header, which may hold several: Bearer if it is there, else Basic, else None."""
        found = {challenge.scheme: challenge for challenge in _challenges(header)}
        bearer = found.get("bearer")
        return bearer if bearer and bearer.realm else found.get("basic")


def _challenges(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    position = 0
    while scheme := _SCHEME.match(header, position):
        token = None if scheme[0].endswith(",") else _TOKEN.match(header, scheme.end())
        position = token.end() if token else scheme.end()
        words: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, position):
            name, quoted, plain = parameter.groups()
            words[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            position = parameter.end()
        found.append(Challenge(scheme[1].lower(), words.get("realm", ""), words.get("service", "")))
    return found


_CLIENT = "dfgen"
_LARGEST = 1024 * 1024  # bytes of a token server's answer
_LIFETIME = 60.0  # seconds, where the server does not say, after the token specification
_MARGIN = 10.0  # seconds before its end from which a token is not used, so that it does not expire on its way
_IS_TOKEN = re.compile(r"[\x21-\x7e]+")
_NOT_ALLOWED = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


@dataclass(frozen=True, slots=True)
class Token:
    """A token's Authorization header, and when it stops being used (by the client's clock)."""

    header: str = field(repr=False)
    ends: float


def basic(login: Login) -> str:
    """Write the header of Basic authentication."""
    return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()


class TokenServer:
    """Fetches tokens; credentials go to the realm that the registry names, if it may see them."""

    def __init__(self, transport: Transport, clock: Clock, silence: float) -> None:
        """`silence` is how many seconds a connection may say nothing."""
        self._transport, self._clock, self._silence = transport, clock, silence

    def expired(self, token: Token) -> bool:
        """Whether a token should not be used any more."""
        return self._clock.now() >= token.ends

    def fetch(self, purpose: Purpose, challenge: Challenge, login: Login | None, deadline: Deadline) -> Token:
        """Ask for a token, as the login or as nobody."""
        realm = _realm(purpose, challenge, login)
        asked = self._clock.now()
        request = self._request(realm, challenge, purpose, login)
        timeout = deadline.timeout(self._silence)
        response = self._transport.send(replace(request, timeout=timeout, within=deadline.left))
        try:
            check_passing(response, self._clock)
            if response.status != HTTPStatus.OK:
                raise _denied(purpose, response, login, deadline)
            return _token(purpose, response, asked, deadline)
        finally:
            response.close()

    def _request(self, realm: str, challenge: Challenge, purpose: Purpose, login: Login | None) -> Request:
        scopes = spell(purpose.scopes)
        service = [("service", challenge.service)] if challenge.service else []
        if login and login.identity_token:
            form = [
                ("grant_type", "refresh_token"),
                ("client_id", _CLIENT),
                *service,
                ("scope", " ".join(scopes)),
                ("refresh_token", login.identity_token),
            ]
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            body = urlencode(form).encode()
            return Request(method="POST", url=realm, headers=headers, body=body)
        query = urlencode([*service, *(("scope", scope) for scope in scopes)])
        url = f"{realm}{'&' if '?' in realm else '?'}{query}"
        headers = {"Authorization": basic(login)} if login else {}
        return Request(method="GET", url=url, headers=headers)


def _realm(purpose: Purpose, challenge: Challenge, login: Login | None) -> str:
    try:
        realm = purpose.site.follow(purpose.site.base, challenge.realm)
    except ValueError as error:
        raise Refused.to(purpose.doing, purpose.registry, f"its token server is refused: {error}") from error
    origin = Origin.of(realm)
    if login and not purpose.site.may_tell(origin):
        why = f"it names a token server on another host without HTTPS, {origin}, which must not see its login"
        raise Refused.to(purpose.doing, purpose.registry, why)
    return realm


def _denied(purpose: Purpose, response: Response, login: Login | None, deadline: Deadline) -> Exception:
    if response.status in _NOT_ALLOWED:
        return Unauthorized.to(purpose.doing, purpose.registry, login is not None)
    said = words_of(response, deadline)
    why = f"its token server {response.origin} answers {status_words(response.status)}"
    return Refused.to(purpose.doing, purpose.registry, f"{why}: {said}" if said else why)


def _token(purpose: Purpose, response: Response, asked: float, deadline: Deadline) -> Token:
    try:
        data = read_json(read_all(response, _LARGEST, deadline))
        text = data.get("token") or data.get("access_token")
    except (TooLargeError, ValueError, AttributeError):
        data, text = {}, None
    if not isinstance(text, str) or not _IS_TOKEN.fullmatch(text):
        why = f"its token server {response.origin} sends no token"
        raise Refused.to(purpose.doing, purpose.registry, why)
    lifetime = _lifetime(data.get("expires_in"))
    return Token(f"Bearer {text}", asked + lifetime - min(_MARGIN, lifetime / 10))


def _lifetime(said: object) -> float:
    """How many seconds a token lives; what is no number of seconds is taken for nothing said."""
    try:
        seconds = float(said or _LIFETIME)  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError):
        return _LIFETIME
    return seconds if math.isfinite(seconds) else _LIFETIME


@dataclass(slots=True)
class _Memory:
    """What is known about one registry."""

    asked: threading.Event = field(default_factory=threading.Event)
    challenge: Challenge | None = None
    tokens: dict[Scopes, Token] = field(default_factory=dict)
    locks: dict[Scopes, threading.Lock] = field(default_factory=dict)


class Authorizer:
    """Gives requests their Authorization; shared by all threads."""

    def __init__(self, server: TokenServer, credentials: Credentials) -> None:
        """Know nothing yet."""
        self._server, self._credentials = server, credentials
        self._guard = threading.Lock()
        self._memories: dict[str, _Memory] = {}

    @contextmanager
    def first(self, purpose: Purpose, deadline: Deadline) -> Iterator[None]:
        """Let one request alone find out what the registry asks for; the others wait for it and know."""
        with self._guard:
            alone = purpose.registry not in self._memories
            memory = self._memories.setdefault(purpose.registry, _Memory())
        if not alone:
            memory.asked.wait(max(0.0, deadline.left))
        try:
            yield
        finally:
            memory.asked.set()

    def learn(self, purpose: Purpose, header: str) -> None:
        """Remember what a 401 asks for."""
        challenge = Challenge.parse(header)
        if challenge is None:
            asked = header.split(maxsplit=1)[0] if header.split() else "an unnamed"
            why = f"it asks for {asked} authentication, expected Bearer or Basic"
            if asked.lower() == "bearer":
                why = "it asks for a token and names no server that has one (no realm in WWW-Authenticate)"
            raise Refused.to(purpose.doing, purpose.registry, why)
        self._memories[purpose.registry].challenge = challenge

    def header(self, purpose: Purpose, deadline: Deadline, refused: str = "") -> str:
        """The header for a request: nothing as long as the registry has not asked for one.

        `refused` is a header that the registry has just turned down: it is not given again.
        """
        memory = self._memories[purpose.registry]
        if memory.challenge is None:
            return ""
        if memory.challenge.scheme == "basic":
            return self._basic(purpose, refused)
        with self._guard:
            lock = memory.locks.setdefault(purpose.scopes, threading.Lock())
        with lock:
            token = self._live(memory, purpose.scopes, refused)
            if token is None:
                login = self._credentials.login(purpose.registry)
                token = self._server.fetch(purpose, memory.challenge, login, deadline)
                with self._guard:
                    memory.tokens[purpose.scopes] = token
        return token.header

    def unauthorized(self, purpose: Purpose) -> Unauthorized:
        """The error of a request that its header does not suffice for."""
        known = self._credentials.login(purpose.registry) is not None
        return Unauthorized.to(purpose.doing, purpose.registry, known)

    def _basic(self, purpose: Purpose, refused: str) -> str:
        login = self._credentials.login(purpose.registry)
        if login is None or not login.username or basic(login) == refused:
            raise self.unauthorized(purpose)
        return basic(login)

    def _live(self, memory: _Memory, scopes: Scopes, refused: str) -> Token | None:
        """A token that has not expired and covers the scopes, be it one that allows more."""
        with self._guard:
            memory.tokens = {
                covered: token
                for covered, token in memory.tokens.items()
                if token.header != refused and not self._server.expired(token)
            }
            return next((token for covered, token in memory.tokens.items() if scopes <= covered), None)
