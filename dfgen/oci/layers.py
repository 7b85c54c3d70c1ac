"""Read the entries of a layer: a tar file, uncompressed or compressed with gzip or zstd.

Layers can be hostile: what `tarfile` would read into memory, or forever, is limited.
"""

from __future__ import annotations

import gzip
import sys
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self, cast

from dfgen.errors import CheckError

OPAQUE = ".wh..wh..opq"
WHITEOUT = ".wh."

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
# Go, and so containerd, refuses a longer extended header, too.
_LONGEST_HEADER = 2**20
_LARGEST = 2**36  # bytes of an uncompressed layer
_MOST = 5_000_000  # entries


@dataclass(frozen=True, slots=True)
class Layer:
    """The entries of a layer, in order; each can only be read before the next one."""

    _tar: tarfile.TarFile

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        """Yield each entry once."""
        count = 0
        while entry := self._tar.next():
            count += 1
            if count > _MOST or entry.offset_data + entry.size > _LARGEST:
                raise tarfile.ReadError(f"it has more than {_MOST} entries or {_LARGEST} bytes")
            yield entry
            # tarfile keeps every entry for random access: much memory for a layer with many files.
            self._tar.members.clear()  # type: ignore[attr-defined]  # only typeshed lacks it

    def content(self, entry: tarfile.TarInfo) -> BinaryIO | None:
        """Open the content of the current entry; None if it is not a regular file."""
        return cast(BinaryIO, self._tar.extractfile(entry)) if entry.isreg() else None


@contextmanager
def open_layer(path: Path) -> Iterator[Layer]:
    """Open a layer as a stream. Raises CheckError if it cannot be read, also while its entries are read."""
    try:
        with (
            _opened(path) as file,
            # "|" reads a stream: seeking in a compressed file would decompress it again and again.
            tarfile.open(fileobj=file, mode="r|", tarinfo=_Entry) as tar,
        ):
            yield Layer(tar)
    except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError, RecursionError) as error:
        # tarfile raises the last two for hostile extended headers.
        expected = "expected a tar file, uncompressed or compressed with gzip or zstd"
        raise CheckError(f"{path}: the layer cannot be read: {error}; {expected}") from error


class _Entry(tarfile.TarInfo):
    """A header that is refused if it is damaged, which `tarfile` takes for the end, or hostile."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            found = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if not buf.strip(b"\0"):  # the end of the archive
                raise
            raise tarfile.ReadError(str(error)) from error
        # Types whose content tarfile reads into memory: extended headers, and long names of GNU tar.
        if found.type in b"xgXLK" and found.size > _LONGEST_HEADER:
            raise tarfile.ReadError("an extended header is too long")
        return found


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a layer uncompressed. Not with tarfile, which ends after the first of several gzip members."""
    with path.open("rb") as file:
        magic = file.read(len(_ZSTD))
    if magic == _ZSTD:
        with _zstd(path) as unpacked:
            yield unpacked
    elif magic.startswith(_GZIP):
        with gzip.open(path) as unpacked:
            yield cast(BinaryIO, unpacked)
    else:
        with path.open("rb") as unpacked:
            yield unpacked


@contextmanager
def _zstd(path: Path) -> Iterator[BinaryIO]:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    try:
        with zstd.open(path) as file:
            yield cast(BinaryIO, file)
    except zstd.ZstdError as error:
        raise tarfile.ReadError(str(error)) from error
