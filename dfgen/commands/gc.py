"""What nobody refers to: blobs and records of `dist/`, and what killed writers left, in the catalog too."""

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
_BESIDE = re.compile(r"\.(?:lock\.json|catalog\.yaml|base\.yaml|Dockerfile_[a-z0-9]+)\.[0-9a-f]{8}")
# A record is written in no time: one that is being written is much younger, one that is older was killed.
_STALE = 3600.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """Files of one kind, and how many bytes they have together."""

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
    """Delete what neither an index nor a record such as `build.json` or `published.json` refers to.

    `bases` is the catalog's folder, where killed writers leave files too. Whatever is deleted is garbage by
    itself, so that one that is killed leaves nothing broken. Nothing is deleted by a dry run.
    Errors: ExternalError while another process writes.
    """
    begun = [path for path in _begun(bases) if _is_stale(path, now())] if bases else []
    if not layout.root.is_dir():
        return _removed(layout, {"interrupted": begun}, dry_run=dry_run) if begun else []
    # Who writes a record alone, such as a publish, has the lock and no share of the writers'.
    with locked(layout.root / ".lock"), layout.exclusive() as is_exclusive:
        if not is_exclusive:
            advice = "run `dfgen gc` again when it has ended"
            raise ExternalError(f"{layout.root}: nothing is removed while another process writes; {advice}")
        found = _find(layout, now())
        found["interrupted"].extend(begun)
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
    unreferenced = layout.unreferenced(named)
    records = layout.root.glob("inputs/*.json")
    stale = (path for path in _beside(layout.root) if _is_stale(path, now))
    blobs = layout.root / "blobs"
    return {
        "blobs": [path for path in unreferenced if blobs in path.parents],
        "inputs": sorted(
            path
            for path in records
            if f"sha256:{path.name.partition('.')[0]}" not in {str(one) for one in named}
        ),
        "interrupted": [*(path for path in unreferenced if blobs not in path.parents), *sorted(stale)],
    }


def _named(paths: Iterable[Path]) -> Iterator[Digest]:
    """Every digest that a file names, whatever for: a record that is read too generously keeps too much."""
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise ExternalError(f"{path}: cannot be read: {error.strerror}") from error
        yield from map(Digest, _DIGEST.findall(text))


def _beside(root: Path) -> Iterator[Path]:
    """The files that records are written to before they get their names."""
    yield from root.glob(".*.json.*")
    yield from root.glob("inputs/.*.json.*")


def _begun(bases: Path) -> Iterator[Path]:
    """The files that the lock, Dockerfiles and settings are written to before they get their names."""
    for path in sorted(bases.rglob(".*")):
        if _BESIDE.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            yield path


def _is_stale(path: Path, now: float) -> bool:
    return path.stat().st_mtime < now - _STALE


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())
