"""Load images from the layout into Docker engines, run smoke tests in containers, and clean up."""

from __future__ import annotations

import math
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dfgen.catalog.model import LOCAL, Builder, SmokeTest
from dfgen.engine.cleanup import IMAGE_LABEL, ImageRecords
from dfgen.engine.client import DISK_FULL, connected, one_line
from dfgen.engine.nodes import Nodes
from dfgen.engine.request import Outcome
from dfgen.errors import ExternalError
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Descriptor
from dfgen.oci.platform import Platform

if TYPE_CHECKING:
    from docker.client import DockerClient
    from docker.errors import APIError
    from docker.models.containers import Container

# Repository of the images, and label of the containers, that exist in an engine during a smoke test.
TEST_NAME = "localhost/dfgen-test"
TEST_LABEL = "dev.dfgen.test"

# Image that shows whether the engine starts containers at all, named after the tested one.
_CONTROL = "-control"
_EMPTY = bytes(10240)  # a tar archive without files
_NO_SUCH_PROGRAM = "/dfgen-no-such-program"

_CANNOT_RUN = "unable to start container process"  # runc's words before the cause
_NO_PROGRAM = (126, 127)  # exit statuses for a program that is not executable, or does not exist
_GONE = (404, 409)  # API statuses for an image or container that is gone, or a container that has exited

_SECOND = 1_000_000_000  # the engine's API uses nanoseconds
_POLL = 0.2  # seconds between two polls of a container's health
_OUTPUT = 2000  # last lines of output to fetch
_GRACE = 30  # seconds that one poll may take at the end of a test's time

# Only what a shell has built in, since the image may have no other program. Lines of /proc/net/tcp have the
# local address, the remote one and the state, 0A for LISTEN; addresses are words in the machine's byte order.
# https://www.kernel.org/doc/Documentation/networking/proc_net_tcp.txt
_READ_PORTS = (
    'for file in /proc/net/tcp /proc/net/tcp6; do while read -r line; do echo "$line"; done < $file; done'
)
_LISTENING = re.compile(r"^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) [0-9A-F]+:0000 0A ", re.MULTILINE)
_LOOPBACK = (
    *("0100007F", "7F000001"),  # 127.0.0.1
    *("00000000000000000000000001000000", "00000000000000000000000000000001"),  # ::1
    *("0000000000000000FFFF00000100007F", "00000000000000000000FFFF7F000001"),  # ::ffff:127.0.0.1
)


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
                _remove_image(client, name)
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
        from docker.errors import APIError

        options = {**self._options(test), **_program(test)}
        try:
            container = self.client.containers.create(self.name, platform=str(self.platform), **options)
        except APIError as error:
            return self._not_started(error, test, exit_=None)
        try:
            with self.running.container(str(container.id), lambda: _kill(container)):
                try:
                    container.start()
                except APIError as error:
                    container.reload()
                    return self._not_started(error, test, exit_=int(container.attrs["State"]["ExitCode"]))
                return self._started(container, test) if test.keeps_running else _wait(container, test)
        finally:
            container.remove(force=True, v=True)  # with the anonymous volumes of the image's VOLUME

    def _options(self, test: SmokeTest) -> dict[str, Any]:
        return {
            "network_mode": "bridge" if test.network else "none",
            "labels": {TEST_LABEL: test.name, IMAGE_LABEL: self.name},
        }

    def _not_started(self, error: APIError, test: SmokeTest, exit_: int | None) -> Outcome:
        """Return the outcome of a container that cannot start because of its image, for example its USER.

        Raises `error` if the engine is at fault. The engine reports faults of both with the same status, so
        it is asked to start another container.
        """
        message = one_line(error)
        gone = error.status_code in _GONE
        if gone or DISK_FULL.search(message) or self.running.stopped or not self._engine_works(test):
            raise error
        # Other numbers do not come from searching for the program, although a test may expect them.
        status = exit_ if exit_ in _NO_PROGRAM else None
        return Outcome(exit=status, output=message.rpartition(f"{_CANNOT_RUN}: ")[2], started=False)

    def _engine_works(self, test: SmokeTest) -> bool:
        """Whether the engine starts containers: tries it with an empty image and the options of a test.

        The image has no program. A working engine gets as far as searching for it, and names it in its error.
        """
        from docker.errors import APIError

        repository, _, tag = f"{self.name}{_CONTROL}".rpartition(":")
        try:
            self.client.api.import_image_from_data(_EMPTY, repository=repository, tag=tag)
            control = self.client.containers.create(
                f"{repository}:{tag}", entrypoint=[_NO_SUCH_PROGRAM], **self._options(test)
            )
            try:
                control.start()
            finally:
                control.remove(force=True, v=True)
        except APIError as error:
            return _NO_SUCH_PROGRAM in one_line(error)
        finally:
            _remove_image(self.client, f"{repository}:{tag}")
        return False

    def _started(self, container: Container, test: SmokeTest) -> Outcome:
        """Watch a started image, then run the test's command in it."""
        found = self._watch(container, test)
        return _execute(container, test) if test.command and not found.unmet else found

    def _watch(self, container: Container, test: SmokeTest) -> Outcome:
        """Poll until everything that the test waits for has happened, the image ends, or time is up."""
        begun = time.monotonic()
        logged = False
        # The limit ends a poll that hangs, for example in an image whose /bin/sh never returns.
        with _limit(container, _longest(test) + _GRACE) as over:
            while True:
                seconds = time.monotonic() - begun  # before the state is read: up for so long at least
                container.reload()
                output = _output(container)
                logged = logged or re.search(test.logs, output, re.MULTILINE) is not None
                found = _observe(container, test, output, seconds=seconds, logged=logged)
                if over.is_set() or self.running.stopped:
                    return replace(found, exit=None)
                if not found.unmet or found.exit is not None or seconds >= _time_for(found, test):
                    return found
                time.sleep(_POLL)


def _program(test: SmokeTest) -> dict[str, Any]:
    """Options for the program that a container runs."""
    if test.command and not test.keeps_running:
        first, *rest = _arguments(test)
        return {"entrypoint": [first], "command": rest}
    options: dict[str, Any] = {"command": list(test.args)} if test.args else {}
    if test.healthy:
        # The image's own HEALTHCHECK, but every second: a test should not wait for a long interval.
        options["healthcheck"] = {"test": [], "interval": _SECOND, "retries": 2 * test.healthy}
    return options


def _observe(container: Container, test: SmokeTest, output: str, *, seconds: float, logged: bool) -> Outcome:
    """Compare the state of a started container with what the test waits for."""
    state = container.attrs["State"]
    health = state.get("Health") or {}
    found = Outcome(
        exit=None if state["Running"] else int(state["ExitCode"]),
        output=output,
        health="" if health.get("Status") in (None, "none") else str(health["Status"]),
        health_log=str((health.get("Log") or [{}])[-1].get("Output", "")),
    )
    if test.healthy and found.health != "healthy":
        return replace(found, unmet="healthy")
    if test.ports:
        found = replace(found, ports=_listening(container) if state["Running"] else {})
        if not all((found.ports or {}).get(port) for port in test.ports):
            return replace(found, unmet="ports")
    if not logged:
        return replace(found, unmet="logs")
    if test.starts and (seconds < test.starts or not state["Running"]):
        return replace(found, unmet="starts")
    return found


def _listening(container: Container) -> Mapping[int, bool] | None:
    """Find the TCP ports that accept connections in a container, and whether they do so not only on loopback.

    Returns None if the image has no shell to read them with. On a remote engine, only a program inside the
    container can see its network.
    """
    done = _exec(container, ["/bin/sh", "-c", _READ_PORTS])
    if done is None:
        return {}
    status, output = done
    if status in _NO_PROGRAM:
        return None
    found: dict[int, bool] = {}
    for address, port in _LISTENING.findall(output):
        found[int(port, 16)] = found.get(int(port, 16), False) or address not in _LOOPBACK
    return found


def _longest(test: SmokeTest) -> int:
    return max(test.healthy, test.starts, test.timeout if test.ports or test.logs else 0)


def _time_for(found: Outcome, test: SmokeTest) -> float:
    """The seconds that an unmet condition may take; 0 if waiting does not help."""
    if found.unmet == "healthy":
        return test.healthy if found.health else 0
    if found.unmet == "ports" and found.ports is None:
        return 0
    return math.inf if found.unmet == "starts" else test.timeout


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
    """Run a test's command inside a started container."""
    with _limit(container, test.timeout) as over:
        done = _exec(container, _arguments(test))
    if done is None:
        container.reload()
        exit_ = int(container.attrs["State"]["ExitCode"])
        return Outcome(exit=exit_, output=_output(container), unmet="run")
    status, output = done
    return Outcome(exit=None if over.is_set() else status, output=output, timed_out=over.is_set())


def _exec(container: Container, command: list[str]) -> tuple[int, str] | None:
    """Run a command in a container. Returns its exit status and output; None if the container has exited."""
    from docker.errors import APIError

    try:
        status, output = container.exec_run(command)
    except APIError as error:
        if error.status_code not in _GONE:
            raise
        return None
    text = b"".join([output] if isinstance(output, bytes) else output)
    return status or 0, text.decode("utf-8", errors="replace")


def _output(container: Container) -> str:
    found: bytes = container.logs(stdout=True, stderr=True, tail=_OUTPUT)
    return found.decode("utf-8", errors="replace")


def _remove_image(client: DockerClient, name: str) -> None:
    from docker.errors import NotFound

    with suppress(NotFound):
        client.api.remove_image(name, force=True)


def _kill(container: Container) -> None:
    from docker.errors import APIError

    with suppress(APIError):  # it may have exited already
        container.kill()
