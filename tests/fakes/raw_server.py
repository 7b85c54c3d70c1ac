"""A server below HTTP: it sends its response byte for byte, on request very slowly."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

_PAUSE = 0.01  # seconds between two drips
_MAX_DRIPS = 2000  # ends after 20 s, so that a client without a deadline fails its test instead of hanging


class RawServer:
    """Responds to every request with `start`, then with `drip` again and again; use as a context manager."""

    def __init__(self, start: bytes, drip: bytes = b"") -> None:
        self._start, self._drip = start, drip
        self._closing = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> RawServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._respond, args=(connection,), daemon=True).start()

    def _respond(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:  # the client has closed the connection
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += connection.recv(65536)
            connection.sendall(self._start)
            for _ in range(_MAX_DRIPS if self._drip else 0):
                if self._closing.wait(_PAUSE):
                    return
                connection.sendall(self._drip)
