"""The Docker engine, through the docker package: images are loaded from the layout, run, and removed."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dfgen.catalog.model import LOCAL, Builder, SmokeTest
from dfgen.engine.cleanup import IMAGE_LABEL, Traces
from dfgen.engine.client import connected, one_line
from dfgen.engine.nodes import Nodes
from dfgen.engine.request import Outcome
from dfgen.errors import OutsideError
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Descriptor
from dfgen.oci.platform import Platform

if TYPE_CHECKING:
    from docker.client import DockerClient
    from docker.models.containers import Container

# Everything that a test leaves in an engine for its time has this name and label.
TEST_NAME = "localhost/dfgen-test"
TEST_LABEL = "dev.dfgen.test"

# What runc says when the fault is the image's or the test's and not the engine's.
_CANNOT_RUN = "unable to start container process"

_SECOND = 1_000_000_000  # the engine counts in nanoseconds
_POLL = 0.2  # seconds between two looks at a container's health
_OUTPUT = 2000  # lines of output that are fetched


class Engine:
    """The engines of a catalog's nodes: the one that builds a platform also tests it."""

    def __init__(self, nodes: Nodes, layout: Layout) -> None:
        """Take the nodes, and the layout that images are loaded from."""
        self._nodes, self._layout = nodes, layout
        self._running = Running()
        self._traces = Traces(layout.root)

    @contextmanager
    def loaded(self, image: Descriptor, platform: Platform, node: Builder) -> Iterator[LoadedImage]:
        """Load an image into a node's engine under a name of its own, and remove it in the end."""
        name = f"{TEST_NAME}:{uuid.uuid4().hex}"
        trace = self._traces.begun(name, node.context, self._nodes.endpoint(node).host)
        with connected(self._nodes, node) as client, trace as begun:
            try:
                self._load(client, image, name)
                yield LoadedImage(client, name, platform, self._running)
            finally:
                from docker.errors import NotFound

                with suppress(NotFound):
                    client.api.remove_image(name, force=True)
                begun.end()

    def load(self, image: Descriptor, name: str) -> None:
        """Load an image or index into the local engine under a name, for a person to try it."""
        with connected(self._nodes, LOCAL) as client:
            self._load(client, image, name)

    def stop(self) -> None:
        """End the containers that run; whoever waits for them goes on and cleans up."""
        self._running.stop()

    def _load(self, client: DockerClient, image: Descriptor, name: str) -> None:
        chunks = self._layout.archive(image, name)
        for answer in client.api.load_image(chunks):  # type: ignore[no-untyped-call]
            if isinstance(answer, dict) and "error" in answer:
                raise OutsideError(f"the engine cannot load {name}: {answer['error']}")


class Running:
    """The containers that run now, so that all of them can be ended from another thread."""

    def __init__(self) -> None:
        """Begin with none."""
        self._guard = threading.Lock()
        self._kill: dict[str, Callable[[], None]] = {}
        self.stopped = False

    @contextmanager
    def container(self, name: str, kill: Callable[[], None]) -> Iterator[None]:
        """Know a container for as long as the block runs. Errors: OutsideError after `stop`."""
        with self._guard:
            if self.stopped:
                raise OutsideError("stopped")
            self._kill[name] = kill
        try:
            yield
        finally:
            with self._guard:
                del self._kill[name]

    def stop(self) -> None:
        """End them all; no other can be started."""
        with self._guard:
            self.stopped = True
            kills = list(self._kill.values())
        for kill in kills:
            kill()


@dataclass(frozen=True, slots=True, eq=False)
class LoadedImage:
    """An image in an engine, under a name of its own."""

    client: DockerClient
    name: str
    platform: Platform
    running: Running

    def run(self, test: SmokeTest) -> Outcome:
        """Run one test in a container of its own, which is removed in the end."""
        container = self.client.containers.create(self.name, **self._options(test))
        try:
            with self.running.container(str(container.id), lambda: _kill(container)):
                refusal = _start(container)
                if refusal:
                    return refusal
                return self._watch(container, test) if test.healthy else _wait(container, test)
        finally:
            container.remove(force=True, v=True)

    def _options(self, test: SmokeTest) -> dict[str, Any]:
        """What a test's container is created with."""
        options: dict[str, Any] = {
            "platform": str(self.platform),
            "network_mode": "bridge" if test.network else "none",
            "labels": {TEST_LABEL: test.name, IMAGE_LABEL: self.name},
        }
        if test.healthy:
            # The image's own check, but each second, so that nobody waits for its interval.
            return {**options, "healthcheck": {"test": [], "interval": _SECOND, "retries": 2 * test.healthy}}
        first, *rest = _words(test)
        return {**options, "entrypoint": [first], "command": rest}

    def _watch(self, container: Container, test: SmokeTest) -> Outcome:
        """Wait until the container is healthy, has ended, or its time is over."""
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
    """Start a container; what cannot be run, such as a program that the image lacks, is an outcome."""
    from docker.errors import APIError

    try:
        container.start()
    except APIError as error:
        said = one_line(error)
        if _CANNOT_RUN not in said:
            raise
        container.reload()
        reason = said.rpartition(f"{_CANNOT_RUN}: ")[2]
        return Outcome(exit=int(container.attrs["State"]["ExitCode"]), output=reason)
    return None


def _words(test: SmokeTest) -> list[str]:
    return ["/bin/sh", "-c", test.command] if isinstance(test.command, str) else list(test.command)


@contextmanager
def _limit(container: Container, seconds: float) -> Iterator[threading.Event]:
    """Kill a container when its time is over, and say so."""
    over = threading.Event()

    def end() -> None:
        """The event comes first, so that who waits for the container knows why it is gone."""
        over.set()
        _kill(container)

    timer = threading.Timer(seconds, end)
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
    """Run a test's command inside of a container that is healthy."""
    with _limit(container, test.timeout) as over:
        status, output = container.exec_run(_words(test))
    text = b"".join([output] if isinstance(output, bytes) else output).decode("utf-8", errors="replace")
    return Outcome(
        exit=None if over.is_set() else status, output=text, timed_out=over.is_set(), health="healthy"
    )


def _health(container: Container, *, timed_out: bool) -> Outcome:
    state = container.attrs["State"]
    health = state.get("Health") or {}
    log = health.get("Log") or [{}]
    word = str(health.get("Status", ""))
    return Outcome(
        exit=None if state["Running"] else int(state["ExitCode"]),
        output=_output(container),
        timed_out=timed_out,
        health="" if word == "none" else word,
        health_log=str(log[-1].get("Output", "")),
    )


def _output(container: Container) -> str:
    found: bytes = container.logs(stdout=True, stderr=True, tail=_OUTPUT)
    return found.decode("utf-8", errors="replace")


def _kill(container: Container) -> None:
    from docker.errors import APIError

    with suppress(APIError):  # it ended by itself
        container.kill()
