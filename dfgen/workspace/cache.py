"""Cache of the last render of a catalog, in the user's cache folder.

Rendering depends only on the catalog's files, its templates, its lock and dfgen itself. If none of these and
no Dockerfile has changed since the last render, there is nothing to render. The cache has two digests and a
number: it cannot become stale, and can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from dfgen.catalog.model import BASES, TEMPLATES
from dfgen.errors import ExternalError
from dfgen.filetree import files


class RenderCache:
    """The cache of one catalog; create it before the catalog is read, so that later changes are noticed."""

    def __init__(self, root: Path) -> None:
        """Set the catalog's root, and hash the inputs of a render."""
        self._root = root
        self._inputs = _inputs(root)

    @cached_property
    def existing(self) -> dict[str, str]:
        """The Dockerfiles of the catalog, as `files.all_dockerfiles` returns them."""
        return files.all_dockerfiles(self._root, BASES)

    def all_unchanged(self) -> bool:
        """Whether a render would change nothing: inputs and Dockerfiles are those of the last one."""
        if not self._inputs:
            return False
        with suppress(OSError, ValueError, LookupError, TypeError):  # no cache, or a damaged one
            cached = json.loads(self._file.read_text())
            return bool(cached["inputs"] == self._inputs and cached == self._entry(self.existing))
        return False

    def keep(self, rendered: Mapping[str, str]) -> None:
        """Cache a render whose Dockerfiles are all on disk, unless the inputs have changed meanwhile."""
        if self._inputs and self._inputs == _inputs(self._root):
            with suppress(OSError, ExternalError):  # without a writable cache folder, every run renders
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                files.write(self._file, json.dumps(self._entry(rendered)), durable=False)

    @property
    def _file(self) -> Path:
        """The file of this catalog in $XDG_CACHE_HOME, as the XDG base directory specification says."""
        name = hashlib.sha256(str(self._root.resolve()).encode()).hexdigest()
        try:
            caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        except RuntimeError:  # no home folder, as in some containers
            caches = Path(os.devnull)
        return caches / "dfgen" / f"{name}.json"

    def _entry(self, dockerfiles: Mapping[str, str]) -> dict[str, object]:
        hashed = hashlib.sha256()
        for path in sorted(dockerfiles):
            text = dockerfiles[path].encode()
            hashed.update(f"{path}\0{len(text)}\0".encode() + text)
        return {"inputs": self._inputs, "dockerfiles": hashed.hexdigest(), "count": len(dockerfiles)}


def _inputs(root: Path) -> str:
    """The digest of everything that a render depends on; empty if there are links, which are not hashed."""
    hashed = hashlib.sha256(repr([*_programs()]).encode())
    folder = str(root)
    try:
        for path in [*_catalog(folder), *sorted(_below(f"{folder}/{TEMPLATES}"))]:
            text = _read(path)
            hashed.update(f"{path[len(folder) :]}\0{len(text)}\0".encode() + text)
    except OSError:  # the render itself reports the error
        return ""
    return hashed.hexdigest()


def _read(path: str) -> bytes:
    """Read a regular file. Raises OSError for a link, a FIFO, which would block, and a device."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:  # noqa: PTH123 (a descriptor)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(f"{path} is not a regular file")
        return file.read()


def _catalog(root: str) -> Iterator[str]:
    bases = f"{root}/{BASES}"
    own = (f"{bases}/catalog.yaml", f"{bases}/lock.json")
    with os.scandir(bases) as entries:
        families = sorted(f"{entry.path}/base.yaml" for entry in entries)
    return filter(os.path.exists, (*own, *families))


def _below(folder: str, ending: str = "") -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                raise OSError(f"{entry.path} is a link")
            if entry.is_dir():
                yield from _below(entry.path, ending)
            elif entry.name.endswith(ending):
                yield entry.path


def _programs() -> Iterator[tuple[str, int]]:
    """The programs that render, by version or mtime: Python, libraries, and dfgen's files, for checkouts."""
    yield sys.version, 0
    libraries = (find_spec(name) for name in ("jinja2", "markupsafe", "yaml"))
    origins = (spec.origin for spec in libraries if spec and spec.origin)
    for path in (*origins, *sorted(_below(str(Path(__file__).parents[1]), ".py"))):
        yield path, os.stat(path).st_mtime_ns  # noqa: PTH116
