"""A server below HTTP: what it sends is written out byte for byte, and may come in drops."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

_GAP = 0.01  # seconds between two drops
_MOST = 2000  # drops: after 20 s it hangs up, so that a client without patience of its own fails its test


class Wire:
    """Answers whatever is asked with `start`, then with `drop` again and again; use as a context manager."""

    def __init__(self, start: bytes, drop: bytes = b"") -> None:
        self._start, self._drop = start, drop
        self._closing = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Wire:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:  # a client that went away
            asked = b""
            while not asked.endswith(b"\r\n\r\n"):
                asked += connection.recv(65536)
            connection.sendall(self._start)
            for _ in range(_MOST if self._drop else 0):
                if self._closing.wait(_GAP):
                    return
                connection.sendall(self._drop)
