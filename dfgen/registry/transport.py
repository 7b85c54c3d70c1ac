"""The transport seam: sends one HTTP request, returns its response or raises TransientError. Uses urllib3.

Also reads responses: bodies with a size limit, error messages, transient statuses and pull quotas. urllib3 is
imported with the first request, because commands that need no registry should start fast.
"""

from __future__ import annotations

import base64
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from dfgen.errors import InputError, keep_secret
from dfgen.registry.endpoint import Clock, Origin, RegistryOptions, is_loopback
from dfgen.registry.retry import (
    ONCE,
    Deadline,
    TransientError,
    parse_retry_after,
    rate_limited,
    unavailable,
)
from dfgen.untrusted import read_json

if TYPE_CHECKING:
    import ssl

    import urllib3

_READ_SIZE = 64 * 1024  # bytes
_DRAIN_SECONDS = 0.5  # longest time spent reading the rest of a response to keep its connection
_MAX_POOLS = 64  # hosts whose connections are kept open
_USER_AGENT = "dfgen"
# With all other 5xx, also those of proxies (520 to 524) that HTTP does not define.
_TRANSIENT = frozenset({408, 425})
_PERMANENT = frozenset({501, 505})  # not implemented, HTTP version not supported
_MAX_ERROR_BODY = 16 * 1024  # bytes; larger error bodies are ignored
_QUOTA_VALUE = re.compile(r"\s*(\d{1,12})\s*(?:;\s*w=(\d{1,12}))?")

Body = bytes | Callable[[], Iterator[bytes]]  # a callable, so that each try sends it from the beginning


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request.

    `timeout` is the inactivity timeout in seconds; `total_timeout` limits the time until the response is
    complete, however slowly it arrives.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    timeout: float = 20.0
    total_timeout: float = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One HTTP response. Header names are lower case; `stream` works once; `close` must be called."""

    status: int
    headers: Mapping[str, str]
    url: str
    stream: Callable[[], Iterator[bytes]]
    close: Callable[[], None]

    @property
    def origin(self) -> Origin:
        """The server that sent the response."""
        return Origin.of(self.url)


class Transport(Protocol):
    """Sends requests; tests replace it."""

    def send(self, request: Request) -> Response:
        """Send without following redirects. Raises TransientError if the connection fails."""
        ...


class HttpTransport:
    """Pooled connections, through the proxies of the environment except for loopback."""

    def __init__(self, options: RegistryOptions) -> None:
        """Open no connection yet."""
        self._options = options
        self._lock = threading.Lock()
        self._managers: dict[tuple[str, str], urllib3.PoolManager] = {}
        self._proxies: dict[Origin, str] = {}

    def send(self, request: Request) -> Response:
        """Send the request and return once the response headers have arrived."""
        import urllib3

        from dfgen.registry.connection import DEADLINE, transient_error

        DEADLINE.set(time.monotonic() + request.total_timeout)
        body = request.body() if callable(request.body) else request.body
        try:
            raw = self._manager(request.url).urlopen(
                request.method,
                request.url,
                body=body,
                headers={"User-Agent": _USER_AGENT, **request.headers},
                timeout=urllib3.Timeout(connect=request.timeout, read=request.timeout),
                retries=False,  # `retry` decides, for all tries of an operation
                redirect=False,
                preload_content=False,
                decode_content=False,  # digests are of the bytes as sent
            )
        except urllib3.exceptions.HTTPError as error:
            raise transient_error(error, request.url, request.timeout) from error
        # Joins repeated headers with commas: registries may send several WWW-Authenticate.
        headers = {name.lower(): value for name, value in raw.headers.itermerged()}
        return Response(
            status=raw.status,
            headers=headers,
            url=request.url,
            stream=lambda: _stream(raw, request),
            close=lambda: _close(raw),
        )

    def _manager(self, url: str) -> urllib3.PoolManager:
        origin = Origin.of(url)
        with self._lock:
            if origin not in self._proxies:
                self._proxies[origin] = _proxy_for(origin)
            key = (self._proxies[origin], origin.scheme)
            if key not in self._managers:
                self._managers[key] = self._new_manager(*key)
            return self._managers[key]

    def _new_manager(self, proxy: str, scheme: str) -> urllib3.PoolManager:
        import urllib3

        from dfgen.registry.connection import enforce_deadline

        context = _ssl_context(self._options) if scheme == "https" else None
        size = self._options.connections
        if not proxy:
            return enforce_deadline(urllib3.PoolManager(_MAX_POOLS, maxsize=size, ssl_context=context))
        try:
            address, headers = _split_proxy(proxy)
            manager = urllib3.ProxyManager(
                address, proxy_headers=headers, num_pools=_MAX_POOLS, maxsize=size, ssl_context=context
            )
        except (ValueError, urllib3.exceptions.HTTPError):
            # Not chained: the cause quotes the address, which may contain a password.
            why = "not a proxy address, expected http://host:port"
            raise InputError(f"{scheme.upper()}_PROXY: {why}") from None
        return enforce_deadline(manager)


def _proxy_for(origin: Origin) -> str:
    """Return the proxy for a server by HTTPS_PROXY, HTTP_PROXY and NO_PROXY, or an empty string."""
    from urllib.request import getproxies, proxy_bypass

    if is_loopback(origin.host) or proxy_bypass(f"{origin.host}:{origin.port}"):
        return ""
    proxy = getproxies().get(origin.scheme, "")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _split_proxy(proxy: str) -> tuple[str, Mapping[str, str]]:
    """Split a proxy URL into its address and login headers. Raises ValueError if it is not http or https."""
    parts = urlsplit(proxy)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("neither http nor https")
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if not parts.username:
        return address, {}
    # Not urllib3.make_headers: it allows only Latin-1 in passwords.
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    encoded = base64.b64encode(login.encode()).decode()
    keep_secret(parts.password or "", unquote(parts.password or ""), encoded)
    return address, {"Proxy-Authorization": f"Basic {encoded}"}


def _ssl_context(options: RegistryOptions) -> ssl.SSLContext:
    import ssl

    context = ssl.create_default_context()
    if options.ca_file:
        try:
            context.load_verify_locations(options.ca_file)
        except OSError as error:
            why = "contains no certificates" if isinstance(error, ssl.SSLError) else error.strerror
            raise InputError(f"{options.ca_file}: {why}; expected a file with PEM certificates") from error
    return context


def _stream(raw: urllib3.BaseHTTPResponse, request: Request) -> Iterator[bytes]:
    import urllib3

    from dfgen.registry.connection import transient_error

    try:
        while chunk := raw.read1(_READ_SIZE):
            yield chunk
    except urllib3.exceptions.HTTPError as error:
        raise transient_error(error, request.url, request.timeout) from error


def _close(raw: urllib3.BaseHTTPResponse) -> None:
    """Drain a short rest so that the connection can be reused, else close the connection."""
    import urllib3

    end = time.monotonic() + _DRAIN_SECONDS
    # length_remaining is None for a chunked body, whose rest may be of any size.
    if raw.length_remaining is not None and raw.length_remaining <= _READ_SIZE:
        with suppress(urllib3.exceptions.HTTPError):
            while raw.read1(_READ_SIZE) and time.monotonic() < end:
                pass
    raw.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A registry's pull limit: `remaining` of `limit` pulls in a window of seconds, 0 if it names none."""

    limit: int
    remaining: int
    window: int = 0

    @classmethod
    def parse(cls, headers: Mapping[str, str]) -> Quota | None:
        """Parse Docker Hub's headers; None if one is missing.

        They look like `ratelimit-limit: 100;w=21600` and `ratelimit-remaining: 76;w=21600`, see
        https://docs.docker.com/docker-hub/usage/pulls/
        """
        limit = _QUOTA_VALUE.match(headers.get("ratelimit-limit", ""))
        remaining = _QUOTA_VALUE.match(headers.get("ratelimit-remaining", ""))
        if not limit or not remaining:
            return None
        window = limit[2] or remaining[2] or 0
        return cls(limit=int(limit[1]), remaining=int(remaining[1]), window=int(window))


class TooLargeError(Exception):
    """A body exceeds the size limit of its kind."""


def parse_number(text: str) -> int | None:
    """Parse a number in a header; None if it is not a number or has more than 18 digits."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def read_body(response: Response, limit: int, deadline: Deadline) -> bytes:
    """Read a body of at most `limit` bytes. Raises TooLargeError before reading more."""
    if (parse_number(response.headers.get("content-length", "")) or 0) > limit:
        raise TooLargeError
    body = bytearray()
    for chunk in response.stream():
        body += chunk
        if len(body) > limit:
            raise TooLargeError
        deadline.check(str(response.origin))
    return bytes(body)


def decompress(response: Response, body: bytes, limit: int) -> bytes:
    """Unpack a body that a proxy compressed unasked. Raises TooLargeError if it exceeds `limit` bytes.

    Returns the body unchanged if it is not gzip, whatever Content-Encoding says.
    """
    if response.headers.get("content-encoding", "").lower() not in ("gzip", "x-gzip"):
        return body
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        data = unpacker.decompress(body, limit + 1)
    except zlib.error:
        return body
    if len(data) > limit:
        raise TooLargeError
    return data


def error_message(response: Response, deadline: Deadline) -> str:
    """Return the registry's error message: the codes and messages of its JSON, else the first line of text.

    Empty if the body is HTML, too large or unreadable. Format of the JSON:
    https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
    """
    try:
        body = read_body(response, _MAX_ERROR_BODY, deadline)
    except (TooLargeError, TransientError):
        return ""
    try:
        errors = read_json(body)["errors"]
        messages = [f"{error.get('code', '')} {error.get('message') or ''}".strip() for error in errors]
    except (ValueError, KeyError, TypeError, AttributeError):
        media_type = response.headers.get("content-type", "")
        return body.decode(errors="replace").strip().partition("\n")[0] if "html" not in media_type else ""
    return "; ".join(dict.fromkeys(messages))


def check_transient(response: Response, clock: Clock) -> None:
    """Raise TransientError if the status is one that a retry may change."""
    host = str(response.origin)
    wait = parse_retry_after(response.headers.get("retry-after", ""), clock.wall())
    if response.status == HTTPStatus.TOO_MANY_REQUESTS:
        quota = Quota.parse(response.headers)
        if quota and quota.remaining == 0 and quota.window:
            # Waiting for the window, typically hours, would always miss the deadline.
            used_up = f"its quota of {quota.limit} pulls per {quota.window / 3600:g} h is used up"
            raise rate_limited(host, used_up, wait, ONCE)
        raise rate_limited(host, "too many requests", wait)
    status = response.status
    if status in _TRANSIENT or (status >= HTTPStatus.INTERNAL_SERVER_ERROR and status not in _PERMANENT):
        cause = f"it returned {status_text(response.status)}"
        raise unavailable(host, cause, advice="try again later", retry_after=wait)


def status_text(status: int) -> str:
    """Format a status with its standard phrase: `503 Service Unavailable`."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
