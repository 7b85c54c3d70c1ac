"""What smoke tests have in engines, on record beside the images: what a killed one left is found again."""

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
from dfgen.errors import OutsideError
from dfgen.oci import layout as files

if TYPE_CHECKING:
    from docker.client import DockerClient

# Of a test's container: the name that its image has in the engine, which no other test's image has.
IMAGE_LABEL = "dev.dfgen.test.image"
_PATIENCE = 30  # seconds: a machine that is gone for good answers nothing, and the build is waiting


@dataclass(frozen=True, slots=True)
class Trace:
    """An image that is in an engine for its tests: its name there, the docker context and the address.

    The file is locked for as long as its owner lives, however that ends, and is gone when the image is.
    """

    path: Path
    name: str
    context: str
    host: str

    def end(self) -> None:
        """Note that the engine holds nothing of it any more."""
        with files.writing(self.path):
            self.path.unlink(missing_ok=True)


class Traces:
    """The traces of all processes that use a layout's folder."""

    def __init__(self, root: Path) -> None:
        """Take the layout's folder."""
        self._root, self._folder = root, root / ".tests"

    @contextmanager
    def begun(self, name: str, context: str, host: str) -> Iterator[Trace]:
        """Record an image before the engine has it; the record stays when the block does not end it."""
        path = self._folder / name.rpartition(":")[2]
        # The lock of the folder: nobody sees the file before its owner has locked it.
        with files.locked(self._root / ".lock"), files.writing(path):
            self._folder.mkdir(exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(handle, fcntl.LOCK_EX)
            os.write(handle, json.dumps({"name": name, "context": context, "host": host}).encode())
        try:
            yield Trace(path, name, context, host)
        finally:
            os.close(handle)

    @contextmanager
    def orphans(self) -> Iterator[tuple[Trace, ...]]:
        """Find those whose owner has ended; nobody else finds them before the end of the block."""
        if not self._folder.is_dir():
            yield ()
            return
        with ExitStack() as held:
            with files.locked(self._root / ".lock"), files.writing(self._folder):
                found = [trace for path in sorted(self._folder.iterdir()) for trace in _orphan(path, held)]
            yield tuple(found)


def _orphan(path: Path, held: ExitStack) -> Iterator[Trace]:
    """Lock and read the trace of an owner that has ended; one that tells nothing had begun nothing."""
    handle = os.open(path, os.O_RDWR)
    held.callback(os.close, handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        yield Trace(path, data["name"], data["context"], data["host"])
    except (ValueError, KeyError, TypeError):
        path.unlink()


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """How many containers and images were removed, and what could not be, and why."""

    removed: int
    problems: tuple[OutsideError, ...] = ()

    def told(self, *, dry_run: bool = False) -> str:
        """Say what was removed, or would be; empty when nothing."""
        count = f"{self.removed} {'container or image' if self.removed == 1 else 'containers and images'}"
        done = "would be removed" if dry_run else "removed"
        return f"{count} of interrupted smoke tests {done} from the engine" if self.removed else ""


def sweep(root: Path, nodes: Nodes, *, dry_run: bool = False) -> Swept:
    """Remove what the smoke tests of killed processes left in engines, never what belongs to a living one."""
    removed = 0
    problems: list[OutsideError] = []
    with Traces(root).orphans() as found:
        for trace in found:
            try:
                removed += _sweep(trace, nodes, dry_run=dry_run)
            except OutsideError as error:
                problems.append(OutsideError(f"{trace.name} is not removed: {error}"))
    return Swept(removed=removed, problems=tuple(problems))


def _sweep(trace: Trace, nodes: Nodes, *, dry_run: bool) -> int:
    node = Builder(context=trace.context)
    host = nodes.endpoint(node).host
    if host != trace.host:
        raise OutsideError(f"it is in the engine at {trace.host}, and {node.name} is now the one at {host}")
    with connected(nodes, node, _PATIENCE) as client:
        count = _remove(client, trace.name, dry_run=dry_run)
    if not dry_run:
        trace.end()
    return count


def _remove(client: DockerClient, name: str, *, dry_run: bool) -> int:
    containers = client.containers.list(all=True, filters={"label": f"{IMAGE_LABEL}={name}"})
    images = client.images.list(filters={"reference": name})
    for container in () if dry_run else containers:
        container.remove(force=True, v=True)
    for _ in () if dry_run else images:
        client.images.remove(name, force=True)
    return len(containers) + len(images)
