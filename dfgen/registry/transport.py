"""The one seam to the network: a request goes in, an answer or a fault comes out. urllib3 does the work."""

from __future__ import annotations

import base64
import io
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPResponse
from socket import socket
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from dfgen.errors import InputError
from dfgen.registry.causes import fault_of
from dfgen.registry.endpoint import Clock, Origin, RegistryOptions, is_loopback
from dfgen.registry.retry import ANY, Deadline, Fault, broken, limited, retry_after
from dfgen.untrusted import read_json

if TYPE_CHECKING:
    import ssl

    import urllib3

ENDS: ContextVar[float] = ContextVar("ENDS", default=float("inf"))  # of what is asked next, by time.monotonic


class LateError(TimeoutError):
    """The answer has not come whole in its time."""


class _Timed(io.RawIOBase):
    """Reads until the time is over."""

    def __init__(self, raw: Any) -> None:
        self._raw, self._ends = raw, ENDS.get()

    def readable(self) -> bool:
        """It is, and no more."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what is there."""
        if time.monotonic() > self._ends:
            raise LateError
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        """Let the socket go."""
        self._raw.close()
        super().close()


class _Socket:
    """A socket as far as an answer needs it."""

    def __init__(self, sock: socket) -> None:
        self._sock = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        """What the answer is read from."""
        return io.BufferedReader(_Timed(self._sock.makefile(mode, buffering=0)))  # type: ignore[call-overload]


class _Answer(HTTPResponse):
    def __init__(self, sock: socket, *words: Any, **named: Any) -> None:
        super().__init__(_Socket(sock), *words, **named)  # type: ignore[arg-type]


class _Connection(HTTPConnection):
    response_class = _Answer


class _SecureConnection(HTTPSConnection):
    response_class = _Answer


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def timed(manager: urllib3.PoolManager) -> urllib3.PoolManager:
    """Let a manager's answers end at ENDS, as it stands when each is asked for."""
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return manager


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

        pass

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

        pass

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


_VALUE = re.compile(r"\s*(\d{1,12})\s*(?:;\s*w=(\d{1,12}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How many pulls are allowed and left in a window of so many seconds (0 where none is named)."""

    limit: int
    remaining: int
    window: int = 0

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> Quota | None:
        """Read `ratelimit-limit: 100;w=21600` and `ratelimit-remaining: 76;w=21600`; None without both."""
        limit = _VALUE.match(headers.get("ratelimit-limit", ""))
        remaining = _VALUE.match(headers.get("ratelimit-remaining", ""))
        if not limit or not remaining:
            return None
        window = limit[2] or remaining[2] or 0
        return cls(limit=int(limit[1]), remaining=int(remaining[1]), window=int(window))


_PASSING = frozenset({408, 425, 500, 502, 503, 504})
_WORDS = 16 * 1024  # bytes of an error's body that are looked at


class TooLargeError(Exception):
    """A body is larger than its kind may be."""


def number(text: str) -> int | None:
    """Read a header's number; None for whatever is none, or larger than anything that is counted."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def read_all(response: Response, limit: int, deadline: Deadline) -> bytes:
    """Read a body of at most `limit` bytes; a larger one raises TooLargeError early."""
    if (number(response.headers.get("content-length", "")) or 0) > limit:
        raise TooLargeError
    body = bytearray()
    for piece in response.stream():
        body += piece
        if len(body) > limit:
            raise TooLargeError
        deadline.check(str(response.origin))
    return bytes(body)


def plain(response: Response, body: bytes, limit: int) -> bytes:
    """Unpack a text that something on the way has compressed, unasked; a larger one raises TooLargeError."""
    if response.headers.get("content-encoding", "").lower() not in ("gzip", "x-gzip"):
        return body
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        text = unpacker.decompress(body, limit + 1)
    except zlib.error:
        return body
    if len(text) > limit:
        raise TooLargeError
    return text


def words_of(response: Response, deadline: Deadline) -> str:
    """What the registry says about an error, in one line: the codes and messages of its JSON, or its text."""
    try:
        body = read_all(response, _WORDS, deadline)
    except (TooLargeError, Fault):
        return ""
    try:
        errors = read_json(body)["errors"]
        said = [f"{error.get('code', '')} {error.get('message') or ''}".strip() for error in errors]
    except (ValueError, KeyError, TypeError, AttributeError):
        kind = response.headers.get("content-type", "")
        return body.decode(errors="replace").strip().partition("\n")[0] if "html" not in kind else ""
    return "; ".join(dict.fromkeys(said))


def check_passing(response: Response, clock: Clock) -> None:
    """Raise the fault of a status that may be another one soon."""
    host = str(response.origin)
    wait = retry_after(response.headers.get("retry-after", ""), clock.wall())
    if response.status == HTTPStatus.TOO_MANY_REQUESTS:
        quota = Quota.read(response.headers)
        if quota and quota.remaining == 0 and quota.window:
            used_up = f"its {quota.limit} pulls per {quota.window / 3600:g} h are used up"
            raise limited(host, used_up, wait, most=1)
        raise limited(host, "too many requests", wait, ANY)
    if response.status in _PASSING:
        raise broken(host, f"it answers {status_words(response.status)}", ANY, "try again later", wait)


def status_words(status: int) -> str:
    """Write `503 Service Unavailable`."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
