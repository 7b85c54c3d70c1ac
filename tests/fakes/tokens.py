"""Authorization of the fake registry: Bearer tokens with scopes and expiry, or Basic."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from tests.fakes.http import Call, Response

Scope = tuple[str, str]  # repository path and action


@dataclass(slots=True, kw_only=True)
class Auth:
    """Access rules and the token server. `kind` is "" (no authorization), "token" or "basic"."""

    kind: str = ""
    users: Mapping[str, str] = field(default_factory=lambda: {"alice": "open-sesame"})
    identity_tokens: frozenset[str] = frozenset({"refresh-me"})
    anonymous: frozenset[str] = frozenset({"pull"})  # actions that an anonymous token allows
    private: set[str] = field(default_factory=set)  # repositories without any anonymous access
    realm: str = ""  # URL of the token server; the registry's own /token if empty
    lifetime: int | None = 300  # expires_in in seconds; None omits it
    uses: int | None = None  # number of requests after which a token expires
    issued: list[frozenset[Scope]] = field(default_factory=list)  # scopes of each issued token, in order
    _uses: dict[str, int] = field(default_factory=dict)

    def revoke(self) -> None:
        """Expire all issued tokens now."""
        self._uses.clear()

    def challenge(self, call: Call, needed: set[Scope], realm: str) -> Response | None:
        """Return the 401 for a request without sufficient authorization, else None."""
        header = call.headers.get("authorization", "")
        if self.kind == "basic" and not self._is_user(header):
            return _denied('Basic realm="fake"')
        if self.kind == "token" and not self._allows(header.removeprefix("Bearer "), needed):
            scopes = " ".join(f"repository:{path}:{action}" for path, action in sorted(needed))
            return _denied(f'Bearer realm="{self.realm or realm}",service="fake",scope="{scopes}"')
        return None

    def token(self, call: Call) -> Response:
        """Serve /token: a GET with Basic or anonymous, or an OAuth2 POST with an identity token."""
        form = dict(parse_qsl(call.body.decode()))
        header = call.headers.get("authorization", "")
        if call.method == "POST":
            logged_in = form.get("refresh_token") in self.identity_tokens
            if not logged_in or form.get("grant_type") != "refresh_token":
                return Response(status=401)
        else:
            logged_in = self._is_user(header)
            if header and not logged_in:
                return Response(status=401)
        requested = form.get("scope", "").split() or call.values("scope")
        return self._issue(
            {scope for text in requested for scope in _scopes(text)}, logged_in, call.method == "POST"
        )

    def _issue(self, requested: set[Scope], logged_in: bool, oauth: bool) -> Response:
        open_to_all = {
            (path, action)
            for path, action in requested
            if path not in self.private and action in self.anonymous
        }
        allowed = frozenset(requested if logged_in else open_to_all)
        self.issued.append(allowed)
        text = f"token-{len(self.issued)}"
        self._uses[text] = self.uses if self.uses is not None else 1_000_000
        data: dict[str, object] = {"access_token" if oauth else "token": text}
        if self.lifetime is not None:
            data["expires_in"] = self.lifetime
        return Response(status=200, body=json.dumps(data).encode())

    def _allows(self, token: str, needed: set[Scope]) -> bool:
        if self._uses.get(token, 0) <= 0:
            return False
        self._uses[token] -= 1
        return needed <= self.issued[int(token.removeprefix("token-")) - 1]

    def _is_user(self, header: str) -> bool:
        try:
            name, _, password = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        return bool(name) and self.users.get(name) == password


def _scopes(text: str) -> list[Scope]:
    _, path, actions = text.split(":")
    return [(path, action) for action in actions.split(",")]


def _denied(challenge: str) -> Response:
    body = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}).encode()
    headers = {"WWW-Authenticate": challenge, "Content-Type": "application/json"}
    return Response(status=401, headers=headers, body=body)
