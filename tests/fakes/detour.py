"""A transport that sends requests for real host names to fake servers on loopback."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dfgen.registry import HttpTransport, RegistryOptions, Request, Response
from dfgen.registry.endpoint import Origin


class Detour:
    """Replaces base URLs, for example `https://registry-1.docker.io`, by `routes`; `requests` are those sent."""

    def __init__(self, routes: Mapping[str, str]) -> None:
        self._routes = dict(routes)
        self._inner = HttpTransport(RegistryOptions())
        self.requests: list[Request] = []

    def send(self, request: Request) -> Response:
        """Send to the fake and return its response with the real URL."""
        self.requests.append(request)
        origin = Origin.of(request.url)
        base = f"{origin.scheme}://{origin}"
        url = request.url.replace(base, self._routes[base], 1)
        return replace(self._inner.send(replace(request, url=url)), url=request.url)

    def authorizations(self, base: str) -> list[str | None]:
        """Return the Authorization header of each request to a base URL."""
        return [
            request.headers.get("Authorization") for request in self.requests if request.url.startswith(base)
        ]
