"""A threaded HTTP server on loopback that counts requests and injects faults."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A received request; header names are lower case."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def values(self, name: str) -> list[str]:
        """Return all values of a query parameter."""
        return [value for key, value in self.query if key == name]

    def value(self, name: str) -> str:
        """Return the first value of a query parameter, or an empty string."""
        return next(iter(self.values(name)), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response to send."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault to inject; if `applied`, the request takes effect and only its response is damaged."""

    status: int = 0  # replaces the status
    headers: Mapping[str, str | None] = field(default_factory=dict)  # replaces headers; None removes one
    body: bytes | None = None  # replaces the body
    reset: bool = False  # resets the connection instead of a response
    cut: int | None = None  # closes the connection after so many bytes of the body
    stall: bool = False  # sends half of the body, then nothing until the server closes
    drip: bool = False  # sends a body byte by byte, without end
    corrupt: bool = False  # changes one byte of the body
    applied: bool = True

    def apply(self, response: Response) -> Response:
        """Return the damaged response."""
        status = self.status or response.status
        body = response.body if self.body is None and not self.status else self.body or b""
        length = {"Content-Length": str(len(body))}
        kept = {} if self.status else dict(response.headers)
        headers = {**kept, **length} if self.body is not None else {**length, **kept}
        headers |= {name: value for name, value in self.headers.items() if value is not None}
        headers = {name: value for name, value in headers.items() if self.headers.get(name, "") is not None}
        if self.corrupt and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        return replace(response, status=status, headers=headers, body=body)


@dataclass(slots=True)
class _Rule:
    method: str
    pattern: re.Pattern[str]
    fault: Fault
    left: int | None  # number of times; None is always

    def matches(self, call: Call) -> bool:
        return self.left != 0 and self.method in ("", call.method) and bool(self.pattern.search(call.path))


@dataclass(frozen=True, slots=True)
class Seen:
    """One handled request; status 0 means that the connection was reset."""

    call: Call
    status: int

    def __str__(self) -> str:
        """Format it as `HEAD /v2/a/manifests/1 200`."""
        return f"{self.call.method} {self.call.path} {self.status}"


class FakeServer:
    """Serves the function `respond` on a free port; use as a context manager.

    Injects the first scripted fault that matches a request and is not used up.
    """

    def __init__(self, respond: Callable[[Call], Response], tls: ssl.SSLContext | None = None) -> None:
        self._respond = respond
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []
        self.seen: list[Seen] = []
        self.connections = 0
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.port = self._server.server_address[1]
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{self.address}"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> FakeServer:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def script(self, method: str, pattern: str, fault: Fault, times: int | None = 1) -> None:
        """Inject a fault into requests of a method ("" is any) and path, `times` times or always if None."""
        with self._lock:
            self._rules.append(_Rule(method, re.compile(pattern), fault, times))

    def count(self, method: str = "", pattern: str = "") -> int:
        """Return the number of matching requests."""
        return sum(
            method in ("", seen.call.method) and bool(re.search(pattern, seen.call.path))
            for seen in self.seen
        )

    def log(self) -> list[str]:
        """Return every request as `HEAD /v2/a/manifests/1 200`."""
        return [str(seen) for seen in self.seen]

    def forget(self) -> None:
        """Clear the log of requests."""
        with self._lock:
            self.seen.clear()

    def handle(self, call: Call) -> tuple[Response, Fault]:
        """Return the response to one call, and its fault."""
        with self._lock:
            rule = next((rule for rule in self._rules if rule.matches(call)), None)
            if rule and rule.left is not None:
                rule.left -= 1
        fault = rule.fault if rule else Fault()
        response = self._respond(call) if fault.applied else Response(status=fault.status or 500)
        response = fault.apply(response)
        with self._lock:
            self.seen.append(Seen(call, 0 if fault.reset else response.status))
        return response, fault


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # the default of 5 delays some of many concurrent connections by a second


def _handler(server: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's
            """Log nothing."""

        def handle(self) -> None:
            server.connections += 1
            try:
                super().handle()
            except (ConnectionError, ssl.SSLError):
                self.close_connection = True

        def finish(self) -> None:
            with _quiet(self):  # a client may close the connection with unread data
                super().finish()
            self.rfile.close()

        def _serve(self) -> None:
            response, fault = server.handle(_read(self))
            if fault.reset:
                _reset(self)
                return
            with _quiet(self):
                _write(self, response, fault, server.closing)

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - the base class's

    return Handler


def _read(handler: BaseHTTPRequestHandler) -> Call:
    parts = urlsplit(handler.path)  # a proxy receives full URLs
    length = int(handler.headers.get("Content-Length") or 0)
    return Call(
        method=handler.command,
        path=parts.path,
        query=parse_qsl(parts.query),
        headers={name.lower(): value for name, value in handler.headers.items()},
        body=handler.rfile.read(length),
    )


@contextmanager
def _quiet(handler: BaseHTTPRequestHandler) -> Iterator[None]:
    try:
        yield
    except (ConnectionError, ssl.SSLError):
        handler.close_connection = True


def _reset(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def _write(
    handler: BaseHTTPRequestHandler, response: Response, fault: Fault, closing: threading.Event
) -> None:
    handler.send_response(response.status)
    for name, value in response.headers.items():
        handler.send_header(name, value)
    if "Content-Length" not in response.headers and response.status != 204:
        handler.close_connection = True
    handler.end_headers()
    if handler.command == "HEAD":
        return
    if fault.cut is not None:
        handler.close_connection = True
        handler.wfile.write(response.body[: fault.cut])
    elif fault.stall:
        handler.close_connection = True
        handler.wfile.write(response.body[: len(response.body) // 2])
        handler.wfile.flush()
        closing.wait(30)
    elif fault.drip:
        handler.close_connection = True
        _drip(handler, closing)
    else:
        handler.wfile.write(response.body)
    handler.wfile.flush()


def _drip(handler: BaseHTTPRequestHandler, closing: threading.Event) -> None:
    while not closing.wait(0.001):
        handler.wfile.write(b" ")
        handler.wfile.flush()
