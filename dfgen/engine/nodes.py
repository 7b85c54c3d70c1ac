"""The nodes that build: which engine or builder serves a platform, and whether it can."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfgen.catalog.model import LOCAL, Builder
from dfgen.concurrent import attempt
from dfgen.engine.process import CommandError, Processes
from dfgen.errors import DfgenError, OutsideError, listing
from dfgen.oci.platform import Platform


class Slots:
    """The nodes of each platform, and what they are at; used from one thread."""

    def __init__(
        self, nodes: Mapping[Platform, Sequence[Builder]], limits: Mapping[Builder, int], total: int = 0
    ) -> None:
        """Take the nodes, how many builds each takes at once, and how many all together; 0 is no limit."""
        self._nodes = {platform: list(found) for platform, found in nodes.items()}
        self._limits, self._total = limits, total
        self._busy: Counter[Builder] = Counter()

    @property
    def most(self) -> int:
        """How many builds there can be at once."""
        every = {node for found in self._nodes.values() for node in found}
        together = sum(self._limits[node] for node in every) or 1
        return min(together, self._total) if self._total else together

    def take(self, platform: Platform) -> Builder | None:
        """Take the least busy node of a platform, the first among equals; None while all are full."""
        if self._total and self._busy.total() >= self._total:
            return None
        free = [node for node in self.left(platform) if self._busy[node] < self._limits[node]]
        if not free:
            return None
        found = min(free, key=lambda node: self._busy[node] / self._limits[node])
        self._busy[found] += 1
        return found

    def give_back(self, node: Builder) -> None:
        """Note that a build on a node has ended."""
        self._busy[node] -= 1

    def lose(self, node: Builder) -> bool:
        """Take a node out, of all its platforms; says whether it was in."""
        holding = [found for found in self._nodes.values() if node in found]
        for found in holding:
            found.remove(node)
        return bool(holding)

    def left(self, platform: Platform) -> Sequence[Builder]:
        """The nodes that build a platform."""
        return self._nodes.get(platform, ())


DEMO = "or run `make demo`, which brings one on Debian"
_LOCAL = "unix://"
_PER_CORE = 2  # builds at once: about half of a build is waiting, for the disk, the network and the engine
_UNREACHABLE = re.compile(r"cannot connect to the docker daemon|error during connect|failed to connect", re.I)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What a node says of itself; `cores` is 0 where it does not say.

    `host` is the engine's address. `native` is the platform that it runs without emulation.
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
    """An engine's address, such as `unix:///var/run/docker.sock`, and its certificates' folder, if any."""

    host: str
    certificates: Path | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """The nodes that can build each platform, and what is wrong with those that were left out."""

    usable: Mapping[Platform, Mapping[Builder, Node]]
    left_out: tuple[str, ...] = ()

    def slots(self, total: int, others: Mapping[Platform, Sequence[Builder]] | None = None) -> Slots:
        """Share builds among the nodes: two for each core or as many as told; `total` 0 is no limit.

        `others` are the nodes of platforms that were not checked, since nothing seemed to be built there.
        """
        known = {builder: node for found in self.usable.values() for builder, node in found.items()}
        nodes = {**(others or {}), **{platform: tuple(found) for platform, found in self.usable.items()}}
        limits = {
            one: one.jobs or _PER_CORE * ((known[one].cores if one in known else 0) or os.cpu_count() or 1)
            for found in nodes.values()
            for one in found
        }
        return Slots(nodes, limits, total)

    @property
    def emulated(self) -> Iterable[str]:
        """A sentence for each platform that a node does not run natively."""
        for platform, found in self.usable.items():
            names = [node.name for node in found.values() if node.native != platform]
            if names:
                yield f"{platform} is emulated by {listing(names)}"


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """The nodes of a catalog: those that `builders` names for a platform, else the local engine."""

    builders: Mapping[Platform, Sequence[Builder]]
    processes: Processes
    _known: dict[Builder, Endpoint] = field(default_factory=dict)
    _plugins: dict[Builder, str] = field(default_factory=dict)

    def of(self, platform: Platform) -> Sequence[Builder]:
        """Which nodes build a platform."""
        return self.builders.get(platform, (LOCAL,))

    def docker(self, node: Builder) -> list[str]:
        """The docker command that speaks to a node's engine."""
        return ["docker", "--context", node.context] if node.context else ["docker"]

    def buildx(self, node: Builder) -> list[str]:
        """The buildx command that speaks to a node: its program itself, once a local engine has told it.

        To have docker look for it at each build takes longer than all else that is done beside the build.
        """
        return [self._plugins[node]] if node in self._plugins else [*self.docker(node), "buildx"]

    def endpoint(self, node: Builder) -> Endpoint:
        """Where images are run that a node builds: on its own engine; beside a builder, on the local one."""
        if node not in self._known:
            names = [node.context] if node.context else []
            try:
                found = json.loads(self.processes.read(["docker", "context", "inspect", *names]))
            except CommandError as error:
                raise _no_docker(error, node) from error
            self._known[node] = Endpoint(found[0]["Endpoints"]["docker"]["Host"], _certificates(found[0]))
        return self._known[node]

    def inspect(self, node: Builder) -> Node:
        """Ask a node what it is. Errors: OutsideError with what to do when it does not answer."""
        host = self.endpoint(node).host
        inspect = [*self.buildx(node), "inspect", *([node.builder, "--bootstrap"] if node.builder else [])]
        info = [*self.docker(node), "info", "--format", "{{json .}}"]
        # Both at once: each takes a moment to start. Beside a builder there need not be an engine to ask.
        text, *rest = attempt(self.processes.read, [inspect] if node.builder else [inspect, info])
        if isinstance(text, CommandError):
            raise _no_buildx(text, node, host) from text
        said = _fields(str(text))
        if problem := said.get("Error"):
            raise _no_engine(problem, node, host)
        platforms = [_platform(word) for word in said.get("Platforms", "").split(",") if word.strip()]
        is_engine = said.get("Driver") == "docker"
        told = _engine((rest or attempt(self.processes.read, [info]))[0], node, host) if is_engine else {}
        # A context, and certificates that the environment names, are options that docker hands on.
        if (plugin := _plugin(told)) and host.startswith(_LOCAL) and not node.context:
            self._plugins[node] = plugin
        return Node(
            name=node.context or node.builder or "default",
            host=host,
            driver=said.get("Driver", ""),
            native=platforms[0] if platforms else None,
            platforms=frozenset(platforms),
            cores=int(told.get("NCPU") or 0),
            has_image_store=not told
            or "io.containerd.snapshotter.v1" in json.dumps(told.get("DriverStatus")),
        )

    def check(self, platforms: Iterable[Platform]) -> Checked:
        """Find the nodes of every platform that can build it, before anything is built.

        A node that cannot is left out where another is there, and told in `left_out`.
        Errors: OutsideError with the commands that mend it, for a platform that no node can build.
        """
        asked: dict[Builder, Node | OutsideError] = {}
        usable: dict[Platform, dict[Builder, Node]] = {}
        left_out: dict[str, None] = {}
        for platform in dict.fromkeys(platforms):
            problems: list[OutsideError] = []
            usable[platform] = {}
            for builder in self.of(platform):
                if builder not in asked:
                    asked[builder] = self._asked(builder)
                try:
                    usable[platform][builder] = _able(asked[builder], platform)
                except OutsideError as error:
                    problems.append(error)
            if not usable[platform]:
                raise OutsideError([each for one in problems for each in one.problems])
            left_out.update(dict.fromkeys(str(one) for one in problems))
        return Checked(usable, tuple(left_out))

    def answers(self, node: Builder) -> bool:
        """Whether a node is there."""
        return isinstance(self._asked(node), Node)

    def _asked(self, node: Builder) -> Node | OutsideError:
        try:
            return self.inspect(node)
        except OutsideError as error:
            return error


def is_unreachable(output: str) -> bool:
    """Whether a docker command's output says that no engine answered."""
    return _UNREACHABLE.search(output) is not None


def _fields(text: str) -> dict[str, str]:
    """Read the `Name: value` lines of `buildx inspect`; the first of each name, that of the first node."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and not line.startswith(" "):
            found.setdefault(name.strip(), value.strip())
    return found


def _engine(info: str | DfgenError, node: Builder, host: str) -> Mapping[str, Any]:
    """Read what `docker info` says. Errors: OutsideError when the engine did not answer."""
    if isinstance(info, CommandError):
        raise _no_engine(info.output, node, host) from info
    found: dict[str, Any] = json.loads(str(info))
    return found


def _plugin(info: Mapping[str, Any]) -> str:
    """Find the program of buildx that docker uses."""
    plugins = (info.get("ClientInfo") or {}).get("Plugins") or ()
    return next((str(one.get("Path", "")) for one in plugins if one.get("Name") == "buildx"), "")


def _certificates(context: Mapping[str, Any]) -> Path | None:
    """Find ca.pem, cert.pem and key.pem of a docker context, or those that the environment names."""
    folder = Path(context["Storage"]["TLSPath"], "docker")
    if folder.is_dir():
        return folder
    named = os.environ.get("DOCKER_CERT_PATH", "") if os.environ.get("DOCKER_TLS_VERIFY") else ""
    return Path(named) if named and context["Name"] == "default" else None


def _platform(word: str) -> Platform:
    return Platform.of(*word.strip().rstrip("*").split("/"))


def _able(node: Node | OutsideError, platform: Platform) -> Node:
    """Return a node that can build a platform. Errors: OutsideError with what mends it."""
    if isinstance(node, OutsideError):
        raise node
    if not node.has_image_store:
        raise OutsideError(
            f"the Docker engine at {node.host} cannot export an OCI layout, its containerd image store is"
            ' off; put {"features": {"containerd-snapshotter": true}} into its daemon.json and restart it'
        )
    if platform not in node.platforms:
        raise OutsideError(
            f"the engine at {node.host} cannot run {platform}; add it there with"
            f" `docker run --privileged --rm tonistiigi/binfmt --install {platform.architecture}`,"
            " or on Debian with `apt-get install qemu-user-static binfmt-support`"
        )
    return node


def _no_docker(error: CommandError, node: Builder) -> OutsideError:
    if error.code is None and error.command[0] in error.output:
        return OutsideError(f"there is no docker program; install Docker with its buildx plugin, {DEMO}")
    if node.context:
        return OutsideError(
            f"builders: there is no docker context {node.context!r}; `docker context ls` lists them,"
            " `docker context create` makes one"
        )
    return error


def _no_buildx(error: CommandError, node: Builder, host: str) -> OutsideError:
    if "unknown command" in error.output or "is not a docker command" in error.output:
        return OutsideError(f"docker has no buildx; install its plugin (docker-buildx), {DEMO}")
    if node.builder and "no builder" in error.output:
        return OutsideError(
            f"builders: there is no buildx builder {node.builder!r}; `docker buildx ls` lists them,"
            " `docker buildx create` makes one"
        )
    return _no_engine(error.output, node, host)


def _no_engine(problem: str, node: Builder, host: str) -> OutsideError:
    if "permission denied" in problem.lower():
        return OutsideError(
            f"the Docker engine at {host} refuses this user; add it to the group docker, or run as root"
        )
    if is_unreachable(problem) and not node.builder:
        return OutsideError(f"no Docker engine answers at {host}; start it, {DEMO}")
    name = node.builder or node.context or host
    return OutsideError(f"the node {name} does not answer: {problem.splitlines()[-1].strip()}")
