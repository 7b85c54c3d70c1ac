"""Garbage collection: delete unreferenced blobs and records of `dist/`, and files of killed writers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dfgen.errors import ExternalError
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout, locked

_DIGEST = re.compile(r"\bsha256:[0-9a-f]{64}\b")
_TEMPORARY = re.compile(
    r"\.(?:lock\.json|catalog\.yaml|base\.yaml|Dockerfile_[a-z0-9]+|packages_[a-z0-9]+\.lock)"
    r"\.(?:[0-9a-f]{8}|dfgen-tmp)"
)
# Age in seconds after which a temporary file belongs to a killed writer: writing takes far less than that.
_STALE = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """The number of files of one kind, and their total size in bytes."""

    kind: str
    files: int
    size: int


def collect(
    layout: Layout,
    *,
    bases: Path | None = None,
    dry_run: bool = False,
    now: Callable[[], float] = time.time,
) -> list[Garbage]:
    """Delete data that neither an index nor a record, for example `published.json`, refers to.

    `bases` is the catalog's folder, where killed writers leave files as well. A dry run deletes nothing. Each
    file is garbage by itself, so a collection that is killed leaves a valid layout.
    Raises ExternalError while another process writes to the layout.
    """
    interrupted = [path for path in _temporary(bases) if _is_stale(path, now())] if bases else []
    if not layout.root.is_dir():
        return _removed(layout, {"interrupted": interrupted}, dry_run=dry_run) if interrupted else []
    # A process that only writes records, for example a publish, holds `.lock` but not the writers' lock.
    with locked(layout.root / ".lock"), layout.exclusive() as is_exclusive:
        if not is_exclusive:
            advice = "run `dfgen gc` again when it has ended"
            raise ExternalError(f"{layout.root}: another process is writing, nothing was removed; {advice}")
        found = _find(layout, now())
        found["interrupted"].extend(interrupted)
        return _removed(layout, found, dry_run=dry_run)


def _removed(layout: Layout, found: Mapping[str, list[Path]], *, dry_run: bool) -> list[Garbage]:
    result = [
        Garbage(kind=kind, files=len(paths), size=sum(map(_size, paths))) for kind, paths in found.items()
    ]
    if not dry_run:
        layout.remove(path for paths in found.values() for path in paths)
    return result


def _find(layout: Layout, now: float) -> dict[str, list[Path]]:
    named = set(_named(layout.root.glob("*.json")))
    hashes = {digest.hex for digest in named}
    unreferenced = layout.unreferenced(named)
    records = layout.root.glob("inputs/[0-9a-f]*.*")
    stale = (path for path in _temporary_records(layout.root) if _is_stale(path, now))
    blobs = layout.root / "blobs"
    return {
        "blobs": [path for path in unreferenced if blobs in path.parents],
        "inputs": sorted(path for path in records if path.name.partition(".")[0] not in hashes),
        "interrupted": [*(path for path in unreferenced if blobs not in path.parents), *sorted(stale)],
    }


def _named(paths: Iterable[Path]) -> Iterator[Digest]:
    """Yield every digest in the files, in whatever field: keeping too much is safe, too little is not."""
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise ExternalError(f"{path}: cannot be read: {error.strerror}") from error
        yield from map(Digest, _DIGEST.findall(text))


def _temporary_records(root: Path) -> Iterator[Path]:
    """The temporary files of records, which are renamed when they are complete."""
    yield from root.glob(".*.json.*")
    yield from root.glob("inputs/.*.json.*")


def _temporary(bases: Path) -> Iterator[Path]:
    """The temporary files of the lock, Dockerfiles and settings, which are renamed when complete."""
    for path in sorted(bases.rglob(".*")):
        if _TEMPORARY.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            yield path


def _is_stale(path: Path, now: float) -> bool:
    return path.stat().st_mtime < now - _STALE


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())
