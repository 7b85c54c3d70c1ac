"""Compare two layers: find the first file that differs."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from dfgen.errors import CheckError

_CHUNK = 1 << 20  # bytes per read
# The attributes of a tar entry that are compared besides its content, with the words for a message.
_ATTRIBUTES = {
    "type": "file type",
    "mode": "mode",
    "uid": "owner",
    "gid": "group",
    "mtime": "mtime",
    "linkname": "link target",
    "size": "size",
    "pax_headers": "extended attributes",
}
_PRINTED = ("mode", "uid", "gid", "mtime", "size")  # numbers; the others can be long


def first_difference(one: Path, other: Path) -> str:
    """Describe the first difference between two layers: `/etc/x: mtime differs, 5 and 6`.

    Entries are compared in their order in the layer, which is part of its digest too. Raises CheckError if a
    layer cannot be read.
    """
    for left, right in zip_longest(_entries(one), _entries(other)):
        if left is None or right is None:
            entry, _ = left or right
            return f"/{entry.name}: only in one build"
        (entry, digest), (other_entry, other_digest) = left, right
        if entry.name != other_entry.name:
            return f"/{entry.name}: only in one build, or at another position in the layer"
        for attribute, noun in _ATTRIBUTES.items():
            first, second = getattr(entry, attribute), getattr(other_entry, attribute)
            if first != second:
                values = f", {first} and {second}" if attribute in _PRINTED else ""
                return f"/{entry.name}: {noun} differs{values}"
        if digest != other_digest:
            return f"/{entry.name}: content differs"
    return "same files, but packed or compressed differently"


def _entries(path: Path) -> Iterator[tuple[tarfile.TarInfo, str]]:
    """Yield each entry with the hash of its content, in one pass over the file."""
    try:
        with tarfile.open(path, "r|*") as layer:
            for entry in layer:
                yield entry, _hash(layer, entry)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise CheckError(f"{path}: cannot read the layer: {error}") from error


def _hash(layer: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
    content = layer.extractfile(entry) if entry.isreg() else None
    if content is None:
        return ""
    hashed = hashlib.sha256()
    while chunk := content.read(_CHUNK):
        hashed.update(chunk)
    return hashed.hexdigest()
