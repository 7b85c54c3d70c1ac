"""Two layers side by side: the first file in which they differ."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from dfgen.errors import CheckError

_PIECE = 1 << 20  # bytes that are hashed at once
# What may differ in an entry besides its content, and how a person calls it.
_ATTRIBUTES = {
    "type": "kind",
    "mode": "mode",
    "uid": "owner",
    "gid": "group",
    "mtime": "time",
    "linkname": "target",
    "size": "size",
    "pax_headers": "extended attributes",
}


def first_difference(one: Path, other: Path) -> str:
    """Name the first file in which two layers differ, and in what: `/etc/x: its time, 5 and then 6`.

    Files count in their order in the layer. Errors: CheckError for a layer that cannot be read.
    """
    for left, right in zip_longest(_entries(one), _entries(other)):
        if left is None or right is None:
            there = left or right
            return f"/{there[0].name}: it is in one build only"
        if left[0].name != right[0].name:
            return f"/{left[0].name}: it is in one build only, or elsewhere than in the other"
        for attribute, called in _ATTRIBUTES.items():
            first, second = getattr(left[0], attribute), getattr(right[0], attribute)
            if first != second:
                shown = (
                    f", {first} and then {second}"
                    if attribute in ("mode", "uid", "gid", "mtime", "size")
                    else ""
                )
                return f"/{left[0].name}: its {called}{shown}"
        if left[1] != right[1]:
            return f"/{left[0].name}: its content"
    return "the same files, packed differently"


def _entries(path: Path) -> Iterator[tuple[tarfile.TarInfo, str]]:
    """Give each entry with the hash of its content, one pass over the file."""
    try:
        with tarfile.open(path, "r|*") as layer:
            for entry in layer:
                yield entry, _hash(layer, entry)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise CheckError(f"{path}: the layer cannot be read: {error}") from error


def _hash(layer: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
    content = layer.extractfile(entry) if entry.isreg() else None
    if content is None:
        return ""
    found = hashlib.sha256()
    while piece := content.read(_PIECE):
        found.update(piece)
    return found.hexdigest()
