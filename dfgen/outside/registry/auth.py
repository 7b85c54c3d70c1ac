"""The Authorization header: what each registry asks for is remembered, and each token is fetched once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dfgen.outside.registry.challenge import Challenge
from dfgen.outside.registry.credentials import Credentials
from dfgen.outside.registry.errors import Refused, Unauthorized
from dfgen.outside.registry.purpose import Purpose, Scopes
from dfgen.outside.registry.retry import Deadline
from dfgen.outside.registry.tokens import Token, TokenServer, basic


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
