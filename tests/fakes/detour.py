"""A transport under which real host names lead to fake servers on loopback."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dfgen.registry import HttpTransport, RegistryOptions, Request, Response
from dfgen.registry.endpoint import Origin


class Detour:
    """Sends `https://registry-1.docker.io/…` to where the routes say; `asked` keeps what was asked for."""

    def __init__(self, routes: Mapping[str, str]) -> None:
        self._routes = dict(routes)
        self._inner = HttpTransport(RegistryOptions())
        self.asked: list[Request] = []

    def send(self, request: Request) -> Response:
        """Send to the fake, and answer as if it were the real host."""
        self.asked.append(request)
        origin = Origin.of(request.url)
        base = f"{origin.scheme}://{origin}"
        there = request.url.replace(base, self._routes[base], 1)
        return replace(self._inner.send(replace(request, url=there)), url=request.url)

    def told(self, base: str) -> list[str | None]:
        """The Authorization header of each request to a host."""
        return [
            request.headers.get("Authorization") for request in self.asked if request.url.startswith(base)
        ]
