"""Connections whose answers have to end: a server that sends a byte now and then is never silent for long.

A socket's own timeout counts from the last byte, so a header in drops would be waited for without end.
"""

from __future__ import annotations

import io
import time
from contextvars import ContextVar
from http.client import HTTPResponse
from socket import socket
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

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
