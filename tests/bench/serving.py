"""A registry of the benchmark's own: docker-registry on a free port, its files in a folder, near or far."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dfgen.concurrent import each
from dfgen.oci.manifest import OCI_INDEX, Descriptor
from dfgen.oci.reference import Reference
from dfgen.registry import NoCredentials, Registry
from tests.bench.row import Bench
from tests.fakes.images import FakeImage

PROGRAM = "docker-registry"
TRIP = 0.05  # seconds that a round trip takes to a registry that is far
_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {data}}}}}
http: {{addr: "{address}"}}
"""
_PATIENCE = 20.0  # seconds for the registry to answer


@dataclass(frozen=True, slots=True)
class Served:
    """A registry that runs: where it answers, and the folder with all it has."""

    address: str
    data: Path

    def upload(self, repository: str, images: Sequence[FakeImage]) -> None:
        """Give it images, without a tag."""
        registry = Registry(credentials=NoCredentials())
        home = Reference.parse(f"{self.address}/{repository}").repository
        blobs = {digest: data for image in images for digest, data in image.blobs.items()}

        def blob(data: bytes) -> None:
            registry.upload(home, Descriptor.of(data, "application/octet-stream"), data)

        def manifest(image: FakeImage) -> None:
            at = Reference(home, digest=image.descriptor.digest)
            registry.put_manifest(at, image.raw, image.media_type)

        each(blob, blobs.values())
        each(manifest, images)

    def tag(self, name: str, raw: bytes, media_type: str = OCI_INDEX) -> None:
        """Give it an index or manifest under a name such as `team/java:1.0`."""
        reference = Reference.parse(f"{self.address}/{name}")
        Registry(credentials=NoCredentials()).put_manifest(reference, raw, media_type)

    def digest(self, name: str) -> str:
        """What a name has, or nothing."""
        found = Registry(credentials=NoCredentials()).find(Reference.parse(f"{self.address}/{name}"))
        return str(found.digest) if found else ""

    def keep(self) -> Callable[[], None]:
        """Remember what it has; what is returned deletes whatever has come since."""
        kept = set(self.data.rglob("*"))

        def restore() -> None:
            for path in sorted(set(self.data.rglob("*")) - kept, reverse=True):
                if path.is_dir():
                    path.rmdir()
                else:
                    path.unlink()

        return restore


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


def _wait(port: int) -> None:
    ends = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > ends:
                raise SystemExit(f"{PROGRAM} does not answer on 127.0.0.1:{port}") from None
            time.sleep(0.05)


@contextmanager
def _running(*command: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def serve(bench: Bench, name: str) -> Iterator[Served]:
    """Run a registry, empty, for as long as the block takes."""
    program = bench.peers.find(PROGRAM)
    assert program, "the row is left out without a registry"
    folder = bench.folder / name
    data = folder / "registry"
    data.mkdir(parents=True)
    port = _free_port()
    address = f"127.0.0.1:{port}"
    (folder / "registry.yml").write_text(_CONFIG.format(data=data, address=address), encoding="utf-8")
    with _running(program, "serve", str(folder / "registry.yml")):
        _wait(port)
        yield Served(address, data)


@contextmanager
def far_address(near: str, seconds: float) -> Iterator[str]:
    """An address behind which another lies, so many seconds a round trip away."""
    with _running(sys.executable, "-m", "tests.bench.delay", near, str(seconds)) as process:
        port = process.stdout.readline().strip() if process.stdout else ""
        yield f"127.0.0.1:{port}"


@contextmanager
def far(near: Served, seconds: float) -> Iterator[Served]:
    """The same registry, far away."""
    with far_address(near.address, seconds) as address:
        yield Served(address, near.data)
