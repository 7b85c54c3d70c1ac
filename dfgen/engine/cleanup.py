"""Remove what interrupted smoke tests left in Docker engines.

Each image that is loaded for smoke tests has a record, a locked file next to the layout. The lock ends with
its process: an unlocked record belongs to a process that was killed, so its image and containers are removed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dfgen.catalog.model import Builder
from dfgen.engine.client import connected
from dfgen.engine.nodes import Nodes
from dfgen.errors import ExternalError
from dfgen.oci import layout as files

if TYPE_CHECKING:
    from docker.client import DockerClient

# Label of a test's container; its value is the image's name in the engine, which is unique to the test.
IMAGE_LABEL = "dev.dfgen.test.image"
_TIMEOUT = 30  # seconds; short, since the build waits even if the engine's machine is gone for good


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """Record of an image that is loaded for smoke tests.

    `name` is the image's name in the engine, `context` the docker context, `host` the engine's address. The
    file at `path` is locked as long as its owner runs, and deleted together with the image.
    """

    path: Path
    name: str
    context: str
    host: str

    def delete(self) -> None:
        """Delete the record, after the image and its containers were removed from the engine."""
        with files.writing(self.path):
            self.path.unlink(missing_ok=True)


class ImageRecords:
    """The image records of all processes that share a layout."""

    def __init__(self, root: Path) -> None:
        """Set `root`, the layout's folder."""
        self._root, self._folder = root, root / ".tests"

    @contextmanager
    def create(self, name: str, context: str, host: str) -> Iterator[ImageRecord]:
        """Create a record before the image is loaded, and hold its lock for the block.

        The file stays after the block, unless the block deletes the record.
        """
        path = self._folder / name.rpartition(":")[2]
        # The layout's lock is held, so that no other process sees the file before it is locked.
        with files.locked(self._root / ".lock"), files.writing(path):
            self._folder.mkdir(exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(handle, fcntl.LOCK_EX)
            os.write(handle, json.dumps({"name": name, "context": context, "host": host}).encode())
        try:
            yield ImageRecord(path, name, context, host)
        finally:
            # Closing the file releases its lock. The kernel does the same if the process is killed.
            os.close(handle)

    @contextmanager
    def orphans(self) -> Iterator[tuple[ImageRecord, ...]]:
        """Yield the records whose owner has ended; holds their locks for the block."""
        if not self._folder.is_dir():
            yield ()
            return
        with ExitStack() as held:
            with files.locked(self._root / ".lock"), files.writing(self._folder):
                found = [one for path in sorted(self._folder.iterdir()) for one in _orphan(path, held)]
            yield tuple(found)


def _orphan(path: Path, held: ExitStack) -> Iterator[ImageRecord]:
    """Lock and read a record, unless its owner still runs.

    Deletes an incomplete record: its owner was killed while writing it, before the image was loaded.
    """
    handle = os.open(path, os.O_RDWR)
    held.callback(os.close, handle)  # the lock must last until the record was swept
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        yield ImageRecord(path, data["name"], data["context"], data["host"])
    except (ValueError, KeyError, TypeError):
        path.unlink()


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """The number of containers and images that were removed, and the failures."""

    removed: int
    problems: tuple[ExternalError, ...] = ()

    def summary(self, *, dry_run: bool = False) -> str:
        """Summarize the removed containers and images in a sentence; "" if nothing was removed."""
        count = f"{self.removed} {'container or image' if self.removed == 1 else 'containers and images'}"
        done = "would be removed" if dry_run else "removed"
        return f"{count} of interrupted smoke tests {done} from the engine" if self.removed else ""


def sweep(root: Path, nodes: Nodes, *, dry_run: bool = False) -> SweepResult:
    """Remove the test images and containers of ended processes from their engines.

    Never removes those of a running process. Failures are part of the result; a later sweep tries again.
    """
    removed = 0
    problems: list[ExternalError] = []
    with ImageRecords(root).orphans() as found:
        for record in found:
            try:
                removed += _sweep(record, nodes, dry_run=dry_run)
            except ExternalError as error:
                problems.append(ExternalError(f"cannot remove {record.name}: {error}"))
    return SweepResult(removed=removed, problems=tuple(problems))


def _sweep(record: ImageRecord, nodes: Nodes, *, dry_run: bool) -> int:
    node = Builder(context=record.context)
    host = nodes.endpoint(node).host
    if host != record.host:
        raise ExternalError(f"it is in the engine at {record.host}, but node {node.name!r} is now at {host}")
    with connected(nodes, node, _TIMEOUT) as client:
        count = _remove(client, record.name, dry_run=dry_run)
    if not dry_run:
        record.delete()
    return count


def _remove(client: DockerClient, name: str, *, dry_run: bool) -> int:
    # Containers before the image: the image of a running container cannot be removed, even by force.
    containers = client.containers.list(all=True, filters={"label": f"{IMAGE_LABEL}={name}"})
    images = client.images.list(filters={"reference": f"{name}*"})
    for container in () if dry_run else containers:
        container.remove(force=True, v=True)
    for image in () if dry_run else images:
        for tag in image.tags:
            client.images.remove(tag, force=True)
    return len(containers) + len(images)
