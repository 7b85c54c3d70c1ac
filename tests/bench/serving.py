"""The benchmark's own registry: docker-registry on a free port, with or without added latency."""

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
ROUND_TRIP = 0.05  # seconds of a round trip to a far registry
_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {data}}}}}
http: {{addr: "{address}"}}
"""
_TIMEOUT = 20.0  # seconds until the registry has to answer


@dataclass(frozen=True, slots=True)
class Served:
    """A running registry: its address and its data folder."""

    address: str
    data: Path

    def upload(self, repository: str, images: Sequence[FakeImage]) -> None:
        """Upload images without a tag."""
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
        """Upload an index or manifest under a name, for example `team/java:1.0`."""
        reference = Reference.parse(f"{self.address}/{name}")
        Registry(credentials=NoCredentials()).put_manifest(reference, raw, media_type)

    def digest(self, name: str) -> str:
        """Return the digest of a tag; empty if the tag does not exist."""
        found = Registry(credentials=NoCredentials()).find(Reference.parse(f"{self.address}/{name}"))
        return str(found.digest) if found else ""

    def snapshot(self) -> Callable[[], None]:
        """Record the current content; return a function that deletes everything added later."""
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
    ends = time.monotonic() + _TIMEOUT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > ends:
                raise SystemExit(
                    f"{PROGRAM}: no answer on 127.0.0.1:{port} within {_TIMEOUT:.0f} s"
                ) from None
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
    """Run an empty registry for the block."""
    program = bench.peers.find(PROGRAM)
    assert program, "rows are left out if there is no registry program"
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
    """Yield an address that forwards to `near`, with round trips that take `seconds` longer."""
    with _running(sys.executable, "-m", "tests.bench.delay", near, str(seconds)) as process:
        port = process.stdout.readline().strip() if process.stdout else ""
        yield f"127.0.0.1:{port}"


@contextmanager
def far(near: Served, seconds: float) -> Iterator[Served]:
    """Yield the same registry with longer round trips."""
    with far_address(near.address, seconds) as address:
        yield Served(address, near.data)
