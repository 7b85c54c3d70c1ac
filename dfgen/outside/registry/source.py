"""What an upload sends: bytes in memory or a file, read piece by piece for as many tries as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dfgen.errors import OutsideError

_PIECE = 256 * 1024  # bytes read and sent at a time


@dataclass(slots=True)
class Progress:
    """Counts the bytes sent, and takes them back when a try starts over."""

    tell: Callable[[int], None] | None = None
    sent: int = 0

    def add(self, count: int) -> None:
        """Tell that so many bytes are on their way."""
        self.sent += count
        if self.tell and count:
            self.tell(count)

    def rewind(self, position: int = 0) -> None:
        """Tell that only the bytes before `position` count."""
        self.add(position - self.sent)


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes or a file of a known size."""

    data: bytes | Path
    size: int
    progress: Progress

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` to `end`; a file that is shorter or cannot be read is an OutsideError."""
        self.progress.rewind(start)
        data = self.data
        for piece in _slices(data, start, end) if isinstance(data, bytes) else self._read(data, start, end):
            yield piece
            self.progress.add(len(piece))

    def _read(self, path: Path, start: int, end: int) -> Iterator[bytes]:
        # Its errors must not be OSErrors: inside a request those are taken for the network's.
        try:
            with path.open("rb") as file:
                file.seek(start)
                while start < end:
                    piece = file.read(min(_PIECE, end - start))
                    if not piece:
                        short = f"ends at byte {start}, expected {self.size} bytes"
                        raise OutsideError(f"{path}: {short}; build it again")
                    yield piece
                    start += len(piece)
        except OSError as error:
            raise OutsideError(f"{path}: cannot be read: {error.strerror}") from error


def _slices(data: bytes, start: int, end: int) -> Iterator[bytes]:
    for position in range(start, end, _PIECE):
        yield data[position : min(position + _PIECE, end)]
