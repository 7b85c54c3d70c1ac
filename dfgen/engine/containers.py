"""Load images from the layout into Docker engines, run smoke tests in containers, and clean up."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dfgen.catalog.model import LOCAL, Builder, SmokeTest
from dfgen.engine.cleanup import IMAGE_LABEL, ImageRecords
from dfgen.engine.client import connected, one_line
from dfgen.engine.nodes import Nodes
from dfgen.engine.request import Outcome
from dfgen.errors import ExternalError
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Descriptor
from dfgen.oci.platform import Platform

if TYPE_CHECKING:
    from docker.client import DockerClient
    from docker.models.containers import Container

# Repository of the images, and label of the containers, that exist in an engine during a smoke test.
TEST_NAME = "localhost/dfgen-test"
TEST_LABEL = "dev.dfgen.test"

# runc's message if the image or the test is at fault, for example a missing program, and not the engine.
_CANNOT_RUN = "unable to start container process"

_SECOND = 1_000_000_000  # the engine's API uses nanoseconds
_POLL = 0.2  # seconds between two polls of a container's health
_OUTPUT = 2000  # last lines of output to fetch


class Engine:
    """Docker engines of a catalog's nodes; an image is tested on the node that builds its platform."""

    def __init__(self, nodes: Nodes, layout: Layout) -> None:
        """Set the nodes, and the layout to load images from."""
        self._nodes, self._layout = nodes, layout
        self._running = Running()
        self._records = ImageRecords(layout.root)

    @contextmanager
    def loaded(self, image: Descriptor, platform: Platform, node: Builder) -> Iterator[LoadedImage]:
        """Load an image into a node's engine under a unique name, and remove it after the block."""
        name = f"{TEST_NAME}:{uuid.uuid4().hex}"
        # Recorded before the image is loaded, and until after it is removed: `sweep` can then clean up
        # whenever this process is killed.
        created = self._records.create(name, node.context, self._nodes.endpoint(node).host)
        with connected(self._nodes, node) as client, created as record:
            try:
                self._load(client, image, name)
                yield LoadedImage(client, name, platform, self._running)
            finally:
                from docker.errors import NotFound

                with suppress(NotFound):
                    client.api.remove_image(name, force=True)
                record.delete()

    def load(self, image: Descriptor, name: str) -> None:
        """Load an image or index into the local engine under a name, for manual use."""
        with connected(self._nodes, LOCAL) as client:
            self._load(client, image, name)

    def stop(self) -> None:
        """Kill all running containers; the threads that wait for them resume and clean up."""
        self._running.stop()

    def _load(self, client: DockerClient, image: Descriptor, name: str) -> None:
        chunks = self._layout.archive(image, name)
        for answer in client.api.load_image(chunks):  # type: ignore[no-untyped-call]
            if isinstance(answer, dict) and "error" in answer:
                raise ExternalError(f"the engine cannot load {name}: {answer['error']}")


class Running:
    """Registry of running containers, so that another thread can kill all of them."""

    def __init__(self) -> None:
        """Start without containers."""
        self._lock = threading.Lock()
        self._kill: dict[str, Callable[[], None]] = {}
        self.stopped = False

    @contextmanager
    def container(self, name: str, kill: Callable[[], None]) -> Iterator[None]:
        """Register a container for the block. Raises ExternalError after `stop`."""
        with self._lock:
            if self.stopped:  # `stop` does not see containers that are registered after it
                raise ExternalError("stopped")
            self._kill[name] = kill
        try:
            yield
        finally:
            with self._lock:
                del self._kill[name]

    def stop(self) -> None:
        """Kill all registered containers; no other can be registered afterwards."""
        with self._lock:
            self.stopped = True
            kills = list(self._kill.values())
        for kill in kills:
            kill()


@dataclass(frozen=True, slots=True, eq=False)
class LoadedImage:
    """An image in an engine, under a unique name."""

    client: DockerClient
    name: str
    platform: Platform
    running: Running

    def run(self, test: SmokeTest) -> Outcome:
        """Run one test in a new container, and remove the container afterwards."""
        container = self.client.containers.create(self.name, **self._options(test))
        try:
            with self.running.container(str(container.id), lambda: _kill(container)):
                failed = _start(container)
                if failed:
                    return failed
                return self._watch(container, test) if test.healthy else _wait(container, test)
        finally:
            container.remove(force=True, v=True)  # with the anonymous volumes of the image's VOLUME

    def _options(self, test: SmokeTest) -> dict[str, Any]:
        options: dict[str, Any] = {
            "platform": str(self.platform),
            "network_mode": "bridge" if test.network else "none",
            "labels": {TEST_LABEL: test.name, IMAGE_LABEL: self.name},
        }
        if test.healthy:
            # The image's own HEALTHCHECK, but every second: a test should not wait for a long interval.
            return {**options, "healthcheck": {"test": [], "interval": _SECOND, "retries": 2 * test.healthy}}
        first, *rest = _arguments(test)
        return {**options, "entrypoint": [first], "command": rest}

    def _watch(self, container: Container, test: SmokeTest) -> Outcome:
        """Poll until the container is healthy, has exited, or reaches the test's time limit."""
        deadline = time.monotonic() + test.healthy
        while True:
            container.reload()
            state = container.attrs["State"]
            health = state.get("Health") or {}
            over = time.monotonic() >= deadline or self.running.stopped
            if health.get("Status") == "healthy" and test.command:
                return _execute(container, test)
            if health.get("Status") in ("healthy", None, "none") or not state["Running"] or over:
                return _health(container, timed_out=over)
            time.sleep(_POLL)


def _start(container: Container) -> Outcome | None:
    """Start a container. Returns a failed outcome if the image cannot run the command.

    For example, the program is missing from the image: that fails the test, and is no error of the engine.
    """
    from docker.errors import APIError

    try:
        container.start()
    except APIError as error:
        message = one_line(error)
        if _CANNOT_RUN not in message:
            raise
        container.reload()
        reason = message.rpartition(f"{_CANNOT_RUN}: ")[2]
        return Outcome(exit=int(container.attrs["State"]["ExitCode"]), output=reason)
    return None


def _arguments(test: SmokeTest) -> list[str]:
    return ["/bin/sh", "-c", test.command] if isinstance(test.command, str) else list(test.command)


@contextmanager
def _limit(container: Container, seconds: float) -> Iterator[threading.Event]:
    """Kill a container that still runs after `seconds`; the event is set if the limit was reached."""
    over = threading.Event()

    def expire() -> None:
        """Set the event, then kill: whoever waits for the container must see the reason when it ends."""
        over.set()
        _kill(container)

    timer = threading.Timer(seconds, expire)
    timer.start()
    try:
        yield over
    finally:
        timer.cancel()


def _wait(container: Container, test: SmokeTest) -> Outcome:
    with _limit(container, test.timeout) as over:
        status = int(container.wait()["StatusCode"])
    exit_ = None if over.is_set() else status
    return Outcome(exit=exit_, output=_output(container), timed_out=over.is_set())


def _execute(container: Container, test: SmokeTest) -> Outcome:
    """Run a test's command inside a healthy container."""
    with _limit(container, test.timeout) as over:
        status, output = container.exec_run(_arguments(test))
    text = b"".join([output] if isinstance(output, bytes) else output).decode("utf-8", errors="replace")
    return Outcome(
        exit=None if over.is_set() else status, output=text, timed_out=over.is_set(), health="healthy"
    )


def _health(container: Container, *, timed_out: bool) -> Outcome:
    state = container.attrs["State"]
    health = state.get("Health") or {}
    log = health.get("Log") or [{}]
    status = str(health.get("Status", ""))
    return Outcome(
        exit=None if state["Running"] else int(state["ExitCode"]),
        output=_output(container),
        timed_out=timed_out,
        health="" if status == "none" else status,
        health_log=str(log[-1].get("Output", "")),
    )


def _output(container: Container) -> str:
    found: bytes = container.logs(stdout=True, stderr=True, tail=_OUTPUT)
    return found.decode("utf-8", errors="replace")


def _kill(container: Container) -> None:
    from docker.errors import APIError

    with suppress(APIError):  # it may have exited already
        container.kill()
