"""What a person names to look at: an image in a registry, in a layout's folder, or in an archive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dfgen.errors import InputError, nearest
from dfgen.oci.archive import Archive
from dfgen.oci.images import Pulls, Reader, Remote
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import REF_NAME, Descriptor, Index, Manifest
from dfgen.oci.reference import Reference


class _Store(Reader, Protocol):
    """A folder or file with images in it."""

    def entries(self) -> Mapping[str, Descriptor]:
        """What it holds, by name."""
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """An index or image by its name, and where the rest of it is read."""

    name: str
    document: Manifest | Index
    reader: Reader


def open_images(text: str, registry: Callable[[], Pulls], root: Path) -> list[Opened]:
    """Open `dist`, `dist:java-base:1.0`, `image.tar`, `image.tar:name:tag`, or a reference.

    What exists below `root` as a folder or file is one; else it is a reference, for which `registry` is
    called. A folder or archive without a name gives everything that is in it.
    Errors: InputError for what is none of these, and for a name that is not there.
    """
    where, _, name = text.partition(":")
    path = root / where
    if (path / "index.json").is_file():
        return _stored(where, name, _Folder(path))
    if path.is_file():
        return _stored(where, name, Archive(path))
    try:
        reference = Reference.parse(text)
    except InputError:
        if path.exists():
            message = f"{where}: is not an OCI layout; expected a folder with an index.json"
            raise InputError(message) from None
        raise
    client = registry()
    return [Opened(str(reference), client.manifest(reference), Remote(client, reference.repository))]


class _Folder(Layout):
    """A layout of any tool, where images may have no name."""

    def entries(self) -> Mapping[str, Descriptor]:
        """Every image, by its name or else by a short digest."""
        images = (entry for entry in self.descriptors() if not entry.is_attestation)
        return {entry.annotations.get(REF_NAME) or entry.digest.short: entry for entry in images}


def _stored(where: str, name: str, store: _Store) -> list[Opened]:
    entries = store.entries()
    if name and name not in entries:
        known = list(entries)
        hint = nearest(name, known) or f"; it has {', '.join(known[:10]) or 'nothing'}"
        raise InputError(f"{where}: holds no {name!r}{hint}")
    chosen = [name] if name else list(entries)
    return [Opened(f"{where}:{one}", store.manifest(entries[one]), store) for one in chosen]
