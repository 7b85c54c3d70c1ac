"""The one seam to the network: a request goes in, an answer or a fault comes out. urllib3 does the work."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from dfgen.errors import InputError
from dfgen.outside.registry.causes import fault_of
from dfgen.outside.registry.options import RegistryOptions
from dfgen.outside.registry.places import Origin, is_loopback

if TYPE_CHECKING:
    import ssl

    import urllib3

_PIECE = 64 * 1024  # bytes read at a time
_REST = 0.5  # seconds that what is left of an answer is worth
_HOSTS = 64  # whose connections are kept open
_AGENT = "dfgen"

Body = bytes | Callable[[], Iterator[bytes]]  # a callable, so that each try starts at the beginning


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request; `timeout` is how many seconds the connection may be silent.

    `within` are the seconds after which the answer has to be there whole, however slowly it comes.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    timeout: float = 20.0
    within: float = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One answer: header names in lower case; `stream` gives the body once; `close` has to be called."""

    status: int
    headers: Mapping[str, str]
    url: str
    stream: Callable[[], Iterator[bytes]]
    close: Callable[[], None]

    @property
    def origin(self) -> Origin:
        """The server that answered."""
        return Origin.of(self.url)


class Transport(Protocol):
    """What sends requests; tests put their own in its place."""

    def send(self, request: Request) -> Response:
        """Send without following redirects; a broken connection raises Fault."""
        ...


class HttpTransport:
    """Pooled connections, by way of the environment's proxies except to this machine itself."""

    def __init__(self, options: RegistryOptions) -> None:
        """Open nothing yet."""
        self._options = options
        self._lock = threading.Lock()
        self._managers: dict[tuple[str, str], urllib3.PoolManager] = {}
        self._proxies: dict[Origin, str] = {}

    def send(self, request: Request) -> Response:
        """Send it, and return when the headers of the answer are there."""
        import urllib3

        from dfgen.outside.registry.drops import ENDS

        ENDS.set(time.monotonic() + request.within)
        body = request.body() if callable(request.body) else request.body
        try:
            raw = self._manager(request.url).urlopen(
                request.method,
                request.url,
                body=body,
                headers={"User-Agent": _AGENT, **request.headers},
                timeout=urllib3.Timeout(connect=request.timeout, read=request.timeout),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise fault_of(error, request.url, request.timeout) from error
        headers = {name.lower(): value for name, value in raw.headers.itermerged()}
        return Response(
            status=raw.status,
            headers=headers,
            url=request.url,
            stream=lambda: _pieces(raw, request),
            close=lambda: _close(raw),
        )

    def _manager(self, url: str) -> urllib3.PoolManager:
        origin = Origin.of(url)
        with self._lock:
            if origin not in self._proxies:
                self._proxies[origin] = _proxy(origin)
            key = (self._proxies[origin], origin.scheme)
            if key not in self._managers:
                self._managers[key] = self._new_manager(*key)
            return self._managers[key]

    def _new_manager(self, proxy: str, scheme: str) -> urllib3.PoolManager:
        import urllib3

        from dfgen.outside.registry.drops import timed

        context = _trust(self._options) if scheme == "https" else None
        size = self._options.connections
        if not proxy:
            return timed(urllib3.PoolManager(_HOSTS, maxsize=size, ssl_context=context))
        try:
            address, headers = _split_proxy(proxy)
            manager = urllib3.ProxyManager(
                address, proxy_headers=headers, num_pools=_HOSTS, maxsize=size, ssl_context=context
            )
        except (ValueError, urllib3.exceptions.HTTPError):
            # Not the cause: it has the address, and that may hold a password.
            why = "not a proxy's address, expected http://host:port"
            raise InputError(f"{scheme.upper()}_PROXY: {why}") from None
        return timed(manager)


def _proxy(origin: Origin) -> str:
    """The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for a server, or nothing."""
    from urllib.request import getproxies, proxy_bypass

    if is_loopback(origin.host) or proxy_bypass(f"{origin.host}:{origin.port}"):
        return ""
    proxy = getproxies().get(origin.scheme, "")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _split_proxy(proxy: str) -> tuple[str, Mapping[str, str]]:
    """Take an address apart into where the proxy is and what it gets to see. Errors: ValueError."""
    parts = urlsplit(proxy)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("neither http nor https")
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if not parts.username:
        return address, {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return address, {"Proxy-Authorization": "Basic " + base64.b64encode(login.encode()).decode()}


def _trust(options: RegistryOptions) -> ssl.SSLContext:
    import ssl

    context = ssl.create_default_context()
    if options.ca_file:
        try:
            context.load_verify_locations(options.ca_file)
        except OSError as error:
            why = "no certificates in it" if isinstance(error, ssl.SSLError) else error.strerror
            raise InputError(f"{options.ca_file}: {why}; expected a file of PEM certificates") from error
    return context


def _pieces(raw: urllib3.BaseHTTPResponse, request: Request) -> Iterator[bytes]:
    import urllib3

    try:
        while piece := raw.read1(_PIECE):
            yield piece
    except urllib3.exceptions.HTTPError as error:
        raise fault_of(error, request.url, request.timeout) from error


def _close(raw: urllib3.BaseHTTPResponse) -> None:
    """Give the connection back when little or nothing is left to read, else drop it."""
    import urllib3

    ends = time.monotonic() + _REST
    if raw.length_remaining is not None and raw.length_remaining <= _PIECE:
        with suppress(urllib3.exceptions.HTTPError):
            while raw.read1(_PIECE) and time.monotonic() < ends:
                pass
    raw.close()
