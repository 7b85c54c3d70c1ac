"""Blobs of another layout, copied and checked on their way; the other one stays as it is."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dfgen.errors import CheckError, OutsideError
from dfgen.filetree.files import replacing
from dfgen.outside.layout.files import writing
from dfgen.values.manifest import Descriptor

_PIECE = 2**20  # bytes read at once
_MEND = "fetch or build that layout again"


def copy(source: Path, target: Path, blob: Descriptor, scratch: Path) -> None:
    """Copy a blob to where it appears only when it is whole; `scratch` is a folder beside.

    Errors: CheckError for one that is missing or not what its descriptor says.
    """
    try:
        file = source.open("rb")
    except FileNotFoundError:
        raise CheckError(f"{source}: is missing; {_MEND}") from None
    except OSError as error:
        raise OutsideError(f"{source}: cannot be read: {error.strerror}") from error
    with file, writing(target):
        scratch.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, scratch) as beside:
            hashed = hashlib.new(blob.digest.algorithm)
            with beside.open("wb") as copied:
                while piece := file.read(_PIECE):
                    hashed.update(piece)
                    copied.write(piece)
                size = copied.tell()
            _check(source, blob, size, hashed.hexdigest())
            beside.chmod(0o644)


def _check(source: Path, blob: Descriptor, size: int, hexdigest: str) -> None:
    if size != blob.size:
        raise CheckError(f"{source}: has {size} bytes, expected {blob.size}; {_MEND}")
    if hexdigest != blob.digest.hex:
        raise CheckError(f"{source}: does not hold what its digest says; {_MEND}")
