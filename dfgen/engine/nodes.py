"""Build nodes: find the engine or builder of each platform, check it, and distribute builds over nodes."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfgen.catalog.model import LOCAL, Builder
from dfgen.concurrent import attempt
from dfgen.engine.process import CommandError, Processes
from dfgen.errors import DfgenError, ExternalError, listing
from dfgen.oci.platform import Platform

_LOCAL_SOCKET = "unix://"
# Builds per core: a build spends about half of its time waiting for the disk, the network and the engine.
_PER_CORE = 2
_UNREACHABLE = re.compile(r"cannot connect to the docker daemon|error during connect|failed to connect", re.I)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Properties that a node reports.

    `host` is the engine's address. `native` is the platform that the node runs without emulation. `cores` is
    0 if not reported. `has_image_store` is false if the engine's containerd image store is off.
    """

    name: str
    host: str
    driver: str
    native: Platform | None
    platforms: frozenset[Platform]
    cores: int = 0
    has_image_store: bool = True


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An engine's address, for example `unix:///run/docker.sock`, and the folder of its TLS certificates.

    `context` is the name of its docker context.
    """

    host: str
    certificates: Path | None = None
    context: str = field(default="default", compare=False)


class Slots:
    """Assigns builds to nodes, up to the limit of each; not thread-safe."""

    def __init__(
        self, nodes: Mapping[Platform, Sequence[Builder]], limits: Mapping[Builder, int], total: int = 0
    ) -> None:
        """Set the nodes of each platform, the concurrent builds per node, and in total (0: no limit)."""
        self._nodes = {platform: list(found) for platform, found in nodes.items()}
        self._limits, self._total = limits, total
        self._busy: Counter[Builder] = Counter()

    @property
    def capacity(self) -> int:
        """The maximum number of concurrent builds, at least 1."""
        every = {node for found in self._nodes.values() for node in found}
        together = sum(self._limits[node] for node in every) or 1
        return min(together, self._total) if self._total else together

    def acquire(self, platform: Platform) -> Builder | None:
        """Reserve a slot on the platform's least busy node, the first among equals; None if all are full."""
        if self._total and self._busy.total() >= self._total:
            return None
        free = [node for node in self.nodes(platform) if self._busy[node] < self._limits[node]]
        if not free:
            return None
        found = min(free, key=lambda node: self._busy[node] / self._limits[node])
        self._busy[found] += 1
        return found

    def release(self, node: Builder) -> None:
        """Free a slot of a node, after a build on it has ended."""
        self._busy[node] -= 1

    def remove(self, node: Builder) -> bool:
        """Remove a node from all platforms. Returns False if it was already removed."""
        holding = [found for found in self._nodes.values() if node in found]
        for found in holding:
            found.remove(node)
        return bool(holding)

    def nodes(self, platform: Platform) -> Sequence[Builder]:
        """The remaining nodes of a platform."""
        return self._nodes.get(platform, ())


@dataclass(frozen=True, slots=True)
class CheckedNodes:
    """The usable nodes of each platform, and an error text for each node that was skipped."""

    usable: Mapping[Platform, Mapping[Builder, Node]]
    skipped: tuple[str, ...] = ()

    def slots(self, total: int, others: Mapping[Platform, Sequence[Builder]] | None = None) -> Slots:
        """Limit each node to its `jobs` setting, or two builds per core; `total` 0 means no limit.

        `others` are the nodes of platforms that were not checked because no build is planned there; a parent
        that moves during the run can still cause one.
        """
        cores = {builder: node.cores for found in self.usable.values() for builder, node in found.items()}
        nodes = {**(others or {}), **{platform: tuple(found) for platform, found in self.usable.items()}}
        limits = {
            # This machine's cores are the best guess for a node that does not report its own.
            one: one.jobs or _PER_CORE * (cores.get(one) or os.cpu_count() or 1)
            for found in nodes.values()
            for one in found
        }
        return Slots(nodes, limits, total)

    @property
    def emulated(self) -> Iterable[str]:
        """A sentence for each platform that a node does not run natively."""
        for platform, found in self.usable.items():
            names = [f"{node.name!r} ({node.host})" for node in found.values() if node.native != platform]
            if names:
                noun = "node" if len(names) == 1 else "nodes"
                yield f"{platform} will be emulated on {noun} {listing(names)}"


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """The nodes of a catalog, from its `builders` setting; other platforms use the local engine."""

    builders: Mapping[Platform, Sequence[Builder]]
    processes: Processes
    _endpoints: dict[Builder, Endpoint] = field(default_factory=dict)
    _plugins: dict[Builder, str] = field(default_factory=dict)

    def for_platform(self, platform: Platform) -> Sequence[Builder]:
        """The nodes that build a platform."""
        return self.builders.get(platform, (LOCAL,))

    def docker(self, node: Builder) -> list[str]:
        """The docker command for a node's engine."""
        return ["docker", "--context", node.context] if node.context else ["docker"]

    def buildx(self, node: Builder) -> list[str]:
        """The buildx command for a node: the plugin's own program if the local engine has reported its path.

        Calling the plugin directly saves docker's plugin discovery, which takes longer than everything else
        that dfgen does for one build.
        """
        return [self._plugins[node]] if node in self._plugins else [*self.docker(node), "buildx"]

    def endpoint(self, node: Builder) -> Endpoint:
        """The engine that runs a node's images: the context's own, or the local one for a buildx builder."""
        if node not in self._endpoints:
            names = [node.context] if node.context else []
            try:
                found = json.loads(self.processes.read(["docker", "context", "inspect", *names]))
            except CommandError as error:
                raise _no_docker(error, node) from error
            host = str(found[0]["Endpoints"]["docker"]["Host"])
            self._endpoints[node] = Endpoint(host, _certificates(found[0]), str(found[0]["Name"]))
        return self._endpoints[node]

    def inspect(self, node: Builder) -> Node:
        """Request a node's properties. Raises ExternalError, with a hint, if the node does not respond."""
        host = self.endpoint(node).host
        inspect = [*self.buildx(node), "inspect", *([node.builder, "--bootstrap"] if node.builder else [])]
        info = [*self.docker(node), "info", "--format", "{{json .}}"]
        # Run both concurrently, since each takes a moment to start. A buildx builder needs no engine, so
        # `docker info` is not run for it.
        text, *rest = attempt(self.processes.read, [inspect] if node.builder else [inspect, info])
        if isinstance(text, CommandError):
            raise _no_buildx(text, node, host) from text
        fields = _fields(str(text))
        if problem := fields.get("Error"):
            raise _no_engine(problem, node, host)
        platforms = [_platform(word) for word in fields.get("Platforms", "").split(",") if word.strip()]
        is_engine = fields.get("Driver") == "docker"
        engine = _engine((rest or attempt(self.processes.read, [info]))[0], node, host) if is_engine else {}
        # Only for the local socket: contexts and TLS certificates are passed to the plugin by docker.
        if (plugin := _plugin(engine)) and host.startswith(_LOCAL_SOCKET) and not node.context:
            self._plugins[node] = plugin
        return Node(
            name=node.builder or self.endpoint(node).context,
            host=host,
            driver=fields.get("Driver", ""),
            native=platforms[0] if platforms else None,
            platforms=frozenset(platforms),
            cores=int(engine.get("NCPU") or 0),
            has_image_store=not engine
            or "io.containerd.snapshotter.v1" in json.dumps(engine.get("DriverStatus")),
        )

    def check(self, platforms: Iterable[Platform], tested: Container[Platform] = ()) -> CheckedNodes:
        """Check the nodes of every platform before a build; images for the platforms in `tested` have tests.

        A node that cannot build its platform, or test it, is skipped if another node can, and reported in
        `skipped`. Raises ExternalError, with commands that fix it, if no node can build a platform.
        """
        inspected: dict[Builder, Node | ExternalError] = {}
        usable: dict[Platform, dict[Builder, Node]] = {}
        skipped: dict[str, None] = {}
        for platform in dict.fromkeys(platforms):
            problems: list[ExternalError] = []
            usable[platform] = {}
            for builder in self.for_platform(platform):
                if builder not in inspected:
                    inspected[builder] = self._inspected(builder)
                try:
                    node = _able(inspected[builder], platform)
                    if platform in tested:
                        self._check_tests(builder, node, platform)
                    usable[platform][builder] = node
                except ExternalError as error:
                    problems.append(error)
            if not usable[platform]:
                raise ExternalError([each for one in problems for each in one.problems])
            skipped.update(dict.fromkeys(str(one) for one in problems))
        return CheckedNodes(usable, tuple(skipped))

    def _check_tests(self, builder: Builder, node: Node, platform: Platform) -> None:
        """Raises ExternalError if the smoke tests of a buildx builder's images cannot run.

        Only the driver `docker` builds in the engine that also runs containers. The images of other builders
        are tested in the engine of the docker context.
        """
        if node.driver == "docker":
            return
        engine = self.endpoint(builder)
        command = [*self.docker(builder), "buildx", "inspect", engine.context]
        fields = _fields(self.processes.read(command))
        where = f"images of builder {node.name!r} are tested in the Docker engine at {engine.host}"
        if problem := fields.get("Error"):
            raise ExternalError(f"{where}: {_no_engine(problem, Builder(), engine.host)}")
        if platform not in map(_platform, fields.get("Platforms", "").split(",")):
            raise ExternalError(f"{where}, which cannot run {platform}; {_emulation(platform)}")

    def responds(self, node: Builder) -> bool:
        """Whether a node responds."""
        return isinstance(self._inspected(node), Node)

    def _inspected(self, node: Builder) -> Node | ExternalError:
        try:
            return self.inspect(node)
        except ExternalError as error:
            return error


def is_unreachable(output: str) -> bool:
    """Whether a docker command's output says that it could not connect to an engine."""
    return _UNREACHABLE.search(output) is not None


def _fields(text: str) -> dict[str, str]:
    """Parse the `Name: value` lines of `buildx inspect`; the first value of a name is the first node's."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and not line.startswith(" "):
            found.setdefault(name.strip(), value.strip())
    return found


def _engine(info: str | DfgenError, node: Builder, host: str) -> Mapping[str, Any]:
    """Parse the output of `docker info`. Raises ExternalError if the engine did not respond."""
    if isinstance(info, CommandError):
        raise _no_engine(info.output, node, host) from info
    found: dict[str, Any] = json.loads(str(info))
    return found


def _plugin(info: Mapping[str, Any]) -> str:
    """Find the path of docker's buildx plugin; empty if docker does not report it."""
    plugins = (info.get("ClientInfo") or {}).get("Plugins") or ()
    return next((str(one.get("Path", "")) for one in plugins if one.get("Name") == "buildx"), "")


def _certificates(context: Mapping[str, Any]) -> Path | None:
    """Find the folder with ca.pem, cert.pem and key.pem: the docker context's, or DOCKER_CERT_PATH."""
    folder = Path(context["Storage"]["TLSPath"], "docker")
    if folder.is_dir():
        return folder
    named = os.environ.get("DOCKER_CERT_PATH", "") if os.environ.get("DOCKER_TLS_VERIFY") else ""
    return Path(named) if named and context["Name"] == "default" else None


def _platform(word: str) -> Platform:
    return Platform.of(*word.strip().rstrip("*").split("/"))


def _able(node: Node | ExternalError, platform: Platform) -> Node:
    """Return the node if it can build a platform. Raises ExternalError with a fix if it cannot."""
    if isinstance(node, ExternalError):
        raise node
    if not node.has_image_store:
        raise ExternalError(
            f"the Docker engine at {node.host} cannot export OCI layouts, because its containerd image store"
            ' is off; add {"features": {"containerd-snapshotter": true}} to its daemon.json and restart it'
        )
    if platform not in node.platforms:
        raise ExternalError(f"the engine at {node.host} cannot run {platform}; {_emulation(platform)}")
    return node


def _emulation(platform: Platform) -> str:
    return (
        "install emulation on its machine with"
        f" `docker run --privileged --rm tonistiigi/binfmt --install {platform.architecture}`,"
        " or on Debian with `apt-get install qemu-user-static binfmt-support`"
    )


def _no_docker(error: CommandError, node: Builder) -> ExternalError:
    if error.code is None and error.command[0] in error.output:
        return ExternalError("docker is not installed; install Docker with its buildx plugin")
    if node.context:
        return ExternalError(
            f"builders: docker context {node.context!r} does not exist; list contexts with"
            " `docker context ls`, or create one with `docker context create`"
        )
    return error


def _no_buildx(error: CommandError, node: Builder, host: str) -> ExternalError:
    if "unknown command" in error.output or "is not a docker command" in error.output:
        return ExternalError("docker buildx is not installed; install the plugin (docker-buildx)")
    if node.builder and "no builder" in error.output:
        return ExternalError(
            f"builders: buildx builder {node.builder!r} does not exist; list builders with"
            " `docker buildx ls`, or create one with `docker buildx create`"
        )
    named = os.environ.get("BUILDX_BUILDER", "")
    if not node.builder and named and f'no builder "{named}" found' in error.output:
        return ExternalError(
            f"the environment variable BUILDX_BUILDER names the builder {named!r}, which does not exist;"
            " unset it, or create the builder with `docker buildx create`"
        )
    return _no_engine(error.output, node, host)


def _no_engine(problem: str, node: Builder, host: str) -> ExternalError:
    if "permission denied" in problem.lower():
        return ExternalError(
            f"the Docker engine at {host} denies access to this user; add the user to the group docker, or"
            " run as root"
        )
    if is_unreachable(problem) and not node.builder:
        other = "`builders` in bases/catalog.yaml" if node.context else "DOCKER_HOST or `docker context use`"
        return ExternalError(
            f"cannot connect to the Docker engine at {host}; start it, or select another one with {other}"
        )
    name = node.builder or node.context or host
    return ExternalError(f"node {name} does not respond: {problem.splitlines()[-1].strip()}")
