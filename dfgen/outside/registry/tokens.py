"""Bearer tokens: asked for at the token server that a registry names."""

from __future__ import annotations

import base64
import math
import re
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from urllib.parse import urlencode

from dfgen.outside.registry.answers import TooLargeError, check_passing, read_all, status_words, words_of
from dfgen.outside.registry.challenge import Challenge
from dfgen.outside.registry.credentials import Login
from dfgen.outside.registry.errors import Refused, Unauthorized
from dfgen.outside.registry.options import Clock
from dfgen.outside.registry.places import Origin
from dfgen.outside.registry.purpose import Purpose, spell
from dfgen.outside.registry.retry import Deadline
from dfgen.outside.registry.transport import Request, Response, Transport
from dfgen.untrusted import read_json

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
