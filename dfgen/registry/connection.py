"""urllib3 connections that enforce a deadline, and urllib3's exceptions as transient errors.

This module needs urllib3 when it is imported, so `transport` imports it with the first request.

A socket timeout counts from the last byte received: a server that sends a byte now and then, for example in
an endless header, never reaches it. The connections here check the deadline with every read instead.
"""

from __future__ import annotations

import io
import ssl
import time
from collections.abc import Callable
from contextvars import ContextVar
from http.client import HTTPException, HTTPResponse, IncompleteRead
from socket import socket
from typing import Any

import urllib3
from urllib3 import exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from dfgen.registry.endpoint import Origin
from dfgen.registry.retry import FEW, ONCE, UNLIMITED, TransientError, unavailable

# When the response to the next request must be complete, by time.monotonic. urllib3 has no parameter to pass
# it down to the socket.
DEADLINE: ContextVar[float] = ContextVar("DEADLINE", default=float("inf"))

_RESET = "the connection was reset"
_NOT_HTTP = "the response is not HTTP"
_CHECK_NAME = "check the host name and the network"
_CHECK_PROXY = "check HTTPS_PROXY and HTTP_PROXY"
_SET_CA_FILE = "set `ca_file` in the catalog to the certificate of its authority"
_ALLOW_HTTP = "if this is intended, add it to `insecure_registries` in the catalog"
# OpenSSL's reasons when a server answers a TLS handshake in plain HTTP.
_NOT_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"}
)

_Verdict = tuple[str, int, str]  # the cause, the number of tries it is worth, and advice


def enforce_deadline(manager: urllib3.PoolManager) -> urllib3.PoolManager:
    """Make a manager's responses end at DEADLINE, as set when each request is sent."""
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return manager


class SlowResponseError(TimeoutError):
    """The response was not complete at the deadline."""


class _DeadlineReader(io.RawIOBase):
    def __init__(self, raw: Any) -> None:
        self._raw, self._deadline = raw, DEADLINE.get()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._deadline:
            raise SlowResponseError
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _DeadlineSocket:
    """The part of a socket that HTTPResponse uses."""

    def __init__(self, sock: socket) -> None:
        self._sock = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        # Unbuffered: an inner buffer would loop over slow reads without checking the deadline.
        return io.BufferedReader(_DeadlineReader(self._sock.makefile(mode, buffering=0)))  # type: ignore[call-overload]


class _Response(HTTPResponse):
    def __init__(self, sock: socket, *args: Any, **options: Any) -> None:
        super().__init__(_DeadlineSocket(sock), *args, **options)  # type: ignore[arg-type]


class _Connection(HTTPConnection):
    response_class = _Response


class _SecureConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def transient_error(error: exceptions.HTTPError, url: str, timeout: float) -> TransientError:
    """Translate urllib3's error of one request; `timeout` is its inactivity timeout in seconds."""
    host = str(Origin.of(url))
    translated = unavailable(host, *_verdict(error, timeout))
    if isinstance(error, exceptions.NewConnectionError):  # includes NameResolutionError
        translated.unreachable_host = host
    return translated


def _verdict(error: exceptions.HTTPError, timeout: float) -> _Verdict:
    # Subclasses first: NameResolutionError is a NewConnectionError, which is a TimeoutError.
    verdicts: list[tuple[type[Exception], Callable[[], _Verdict]]] = [
        (exceptions.NameResolutionError, lambda: ("the host name cannot be resolved", FEW, _CHECK_NAME)),
        (exceptions.NewConnectionError, lambda: (_reason(error), FEW, "")),
        (exceptions.ProxyError, lambda: (f"the proxy failed: {_reason(error)}", FEW, _CHECK_PROXY)),
        (exceptions.SSLError, lambda: _tls_verdict(error)),
        (exceptions.TimeoutError, lambda: (_timeout_cause(error, timeout), UNLIMITED, "")),
        (exceptions.LocationValueError, lambda: ("its address is not valid", ONCE, "")),
    ]
    for kind, verdict in verdicts:
        if isinstance(error, kind):
            return verdict()
    cause = "the response was cut short" if _is_cut_short(error) else _reason(error)
    return cause, FEW if cause == _NOT_HTTP else UNLIMITED, ""


def _timeout_cause(error: BaseException, timeout: float) -> str:
    slow = any(isinstance(link, SlowResponseError) for link in _chain(error))
    return "the response is too slow" if slow else f"no response for {round(timeout, 1):g} s"


def _chain(error: BaseException | None) -> list[BaseException]:
    """Return the error and its causes; urllib3 keeps a cause as an argument, `__cause__` or `__context__`."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        nested = next((arg for arg in reversed(error.args) if isinstance(arg, BaseException)), None)
        error = nested or error.__cause__ or error.__context__
    return chain


def _is_cut_short(error: BaseException) -> bool:
    # urllib3's IncompleteRead and InvalidChunkLength are subclasses of this one.
    return any(isinstance(link, IncompleteRead) for link in _chain(error))


def _reason(error: BaseException) -> str:
    """Return the operating system's message if the chain has one, else the kind of failure."""
    for link in reversed(_chain(error)):
        if isinstance(link, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
            return _RESET
        if isinstance(link, OSError) and (message := link.strerror or str(link)):
            return message[0].lower() + message[1:]
    if any(isinstance(link, HTTPException) for link in _chain(error)):
        return _NOT_HTTP
    return "the connection failed"


def _tls_verdict(error: BaseException) -> _Verdict:
    last = next((link for link in reversed(_chain(error)) if isinstance(link, ssl.SSLError)), ssl.SSLError())
    if isinstance(last, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {last.verify_message}", ONCE, _SET_CA_FILE
    if isinstance(last, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _RESET, UNLIMITED, ""
    reason = getattr(last, "reason", None) or "the handshake failed"
    if reason in _NOT_TLS:
        return "it speaks plain HTTP, not HTTPS", ONCE, _ALLOW_HTTP
    return f"TLS: {reason.lower().replace('_', ' ')}", FEW, ""
