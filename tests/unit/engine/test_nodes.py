"""Selecting and checking the node of a platform, and the errors of unusable nodes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dfgen.catalog.model import Builder
from dfgen.engine.nodes import CheckedNodes, Endpoint, Node, Nodes, is_unreachable
from dfgen.errors import ExternalError
from dfgen.oci.platform import Platform
from tests.unit.engine.scripted import Answer, ScriptedProcesses
from tests.unit.models import AMD64, ARM64, LOCAL

S390X = Platform.parse("s390x")
HOST = "unix:///run/docker.sock"
ANOTHER = "select another one with DOCKER_HOST or `docker context use`"


def context(host: str = HOST, name: str = "default", tls: str = "<IN MEMORY>") -> str:
    endpoint = {"docker": {"Host": host}}
    return json.dumps([{"Name": name, "Endpoints": endpoint, "Storage": {"TLSPath": tls}}])


def inspected(driver: str = "docker", error: str = "") -> str:
    line = f"Error:         {error}\n" if error else ""
    return (
        f"Name:          default\nDriver:        {driver}\nLast Activity: 2026-11-24 05:45:06 +0000 UTC\n"
        f"{line}\nNodes:\nName:             default\nEndpoint:         default\nStatus:           running\n"
        "BuildKit version: v0.0.0+unknown\n"
        "Platforms:        linux/amd64*, linux/amd64/v2, linux/arm64, linux/arm/v7\n"
        "Labels:\n org.mobyproject.buildkit.worker.executor: containerd\n"
    )


PLUGIN = "/usr/libexec/docker/cli-plugins/docker-buildx"


def info(store: str = "io.containerd.snapshotter.v1", cores: int = 4) -> str:
    plugins = [{"Name": "compose", "Path": "/compose"}, {"Name": "buildx", "Path": PLUGIN}]
    client = {"Plugins": plugins}
    return json.dumps({"NCPU": cores, "DriverStatus": [["driver-type", store]], "ClientInfo": client})


GOOD: dict[str, Answer] = {
    "docker context inspect": context(),
    "docker buildx inspect": inspected(),
    "docker info": info(),
}


def nodes(answers: dict[str, Answer], builders: dict[Platform, Builder] | None = None) -> Nodes:
    return Nodes(
        {platform: (node,) for platform, node in (builders or {}).items()},
        ScriptedProcesses(
            answers | {start: output for start, output in GOOD.items() if start not in answers}
        ),
    )


def _nodes(checked: CheckedNodes) -> list[Node]:
    return [node for found in checked.usable.values() for node in found.values()]


def error_of(answers: dict[str, Answer], builders: dict[Platform, Builder] | None = None) -> str:
    with pytest.raises(ExternalError) as caught:
        nodes(answers, builders).check([AMD64, ARM64])
    return str(caught.value)


def test_the_local_engine_is_inspected_once_for_all_platforms() -> None:
    found = nodes({})
    checked = found.check([AMD64, ARM64, AMD64])
    assert isinstance(found.processes, ScriptedProcesses)
    first, *both = found.processes.commands
    assert first == "docker context inspect"
    assert sorted(both) == ["docker buildx inspect", "docker info --format {{json .}}"]
    node = checked.usable[ARM64][LOCAL]
    assert (node.name, node.host, node.driver, node.native, node.cores) == (
        "default",
        HOST,
        "docker",
        AMD64,
        4,
    )
    assert node.platforms == {AMD64, Platform.of("linux", "amd64", "v2"), ARM64, Platform.parse("armv7")}
    assert checked.slots(0).capacity == 2 * 4
    assert checked.slots(3).capacity == 3
    assert list(checked.emulated) == [
        "linux/arm64 will be emulated on node 'default' (unix:///run/docker.sock)"
    ]


def test_contexts_and_builders_have_their_own_commands() -> None:
    builders = {AMD64: Builder(context="big"), ARM64: Builder(builder="farm")}
    answers: dict[str, Answer] = {
        "docker context inspect big": context("ssh://big", "big"),
        "docker --context big buildx inspect": inspected(),
        "docker --context big info": info(cores=16),
        "docker buildx inspect farm --bootstrap": inspected("kubernetes"),
    }
    found = nodes(answers, builders)
    checked = found.check([AMD64, ARM64])
    assert [(node.name, node.driver, node.cores) for node in _nodes(checked)] == [
        ("big", "docker", 16),
        ("farm", "kubernetes", 0),
    ]
    cores = os.cpu_count() or 1  # a buildx builder does not report its cores
    assert checked.slots(0).capacity == 2 * (16 + cores)
    assert found.endpoint(Builder(context="big")) == Endpoint("ssh://big")
    assert found.endpoint(Builder(builder="farm")) == Endpoint(
        HOST
    )  # a buildx builder cannot run containers: the local engine does


def test_the_local_engine_has_the_name_of_its_context() -> None:
    checked = nodes({"docker context inspect": context(name="colima")}).check([ARM64])
    assert list(checked.emulated) == [f"linux/arm64 will be emulated on node 'colima' ({HOST})"]


FARM = {ARM64: Builder(builder="farm")}
TESTED_AT = f"images of builder 'farm' are tested in the Docker engine at {HOST}"


def farm(tests: str) -> Nodes:
    """A builder whose images are tested in the local engine, which answers `tests`."""
    answers: dict[str, Answer] = {
        "docker buildx inspect farm --bootstrap": inspected("docker-container"),
        "docker buildx inspect default": tests,
    }
    return nodes(answers, FARM)


def test_the_images_of_a_builder_are_tested_in_the_local_engine() -> None:
    checked = farm(inspected()).check([ARM64], {ARM64})
    assert list(checked.usable[ARM64]) == [FARM[ARM64]]
    without_tests = farm(inspected("", "Cannot connect to the Docker daemon")).check([ARM64], {AMD64})
    assert list(without_tests.usable[ARM64]) == [FARM[ARM64]]


@pytest.mark.parametrize(
    ("tests", "expected"),
    [
        (
            inspected().replace("linux/arm64, ", ""),
            f"{TESTED_AT}, which cannot run linux/arm64; install emulation on its machine with"
            " `docker run --privileged --rm tonistiigi/binfmt --install arm64`,"
            " or on Debian with `apt-get install qemu-user-static binfmt-support`",
        ),
        (
            inspected("", f"Cannot connect to the Docker daemon at {HOST}."),
            f"{TESTED_AT}: cannot connect to the Docker engine at {HOST}; start it, or {ANOTHER}",
        ),
    ],
)
def test_an_engine_that_cannot_test_the_images_of_a_builder(tests: str, expected: str) -> None:
    with pytest.raises(ExternalError) as caught:
        farm(tests).check([ARM64], {ARM64})
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("builder", "host", "expected"),
    [
        (Builder(), HOST, [PLUGIN]),
        (Builder(), "tcp://far:2376", ["docker", "buildx"]),  # needs TLS certificates, which docker passes on
        (Builder(context="big"), HOST, ["docker", "--context", "big", "buildx"]),
    ],
)
def test_a_local_engine_uses_the_buildx_plugin_directly(
    builder: Builder, host: str, expected: list[str]
) -> None:
    inspections: dict[str, Answer] = {
        "docker --context big buildx inspect": inspected(),
        "docker --context big info": info(),
        "docker context inspect": context(host),
    }
    found = nodes(inspections, {AMD64: builder})
    plain = found.buildx(builder)
    assert plain == [*found.docker(builder), "buildx"]
    found.check([AMD64])
    assert found.buildx(builder) == expected


@pytest.mark.parametrize("client", [None, {}, {"Plugins": None}, {"Plugins": [{"Name": "compose"}]}])
def test_without_a_reported_plugin_docker_runs_buildx(client: object) -> None:
    driver = [["driver-type", "io.containerd.snapshotter.v1"]]
    found = nodes({"docker info": json.dumps({"DriverStatus": driver, "ClientInfo": client})})
    found.check([AMD64])
    assert found.buildx(LOCAL) == ["docker", "buildx"]


def test_certificates_come_from_the_docker_context(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    answers: dict[str, Answer] = {"docker context inspect": context("tcp://far:2376", "far", str(tmp_path))}
    found = nodes(answers, {AMD64: Builder(context="far")})
    assert found.endpoint(Builder(context="far")) == Endpoint("tcp://far:2376", tmp_path / "docker")


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (
            {"docker context inspect": (None, "docker: No such file or directory")},
            "docker is not installed; install Docker with its buildx plugin",
        ),
        (
            {"docker buildx inspect": (1, "docker: unknown command: docker buildx\n\nRun 'docker --help'")},
            "docker buildx is not installed; install the plugin (docker-buildx)",
        ),
        (
            {
                "docker buildx inspect": inspected(
                    "", f"Cannot connect to the Docker daemon at {HOST}. Is it?"
                )
            },
            f"cannot connect to the Docker engine at {HOST}; start it, or {ANOTHER}",
        ),
        (
            {"docker buildx inspect": inspected("", f"permission denied while trying to connect to {HOST}")},
            f"the Docker engine at {HOST} denies access to this user; add the user to the group docker, or run as root",
        ),
        (
            {"docker info": (1, "Cannot connect to the Docker daemon at x")},
            f"cannot connect to the Docker engine at {HOST}; start it, or {ANOTHER}",
        ),
        (
            {"docker info": info(store="overlay2")},
            f"the Docker engine at {HOST} cannot export OCI layouts, because its containerd image store is off;"
            ' add {"features": {"containerd-snapshotter": true}} to its daemon.json and restart it',
        ),
        (
            {"docker buildx inspect": inspected("", "no space left")},
            f"node {HOST} does not respond: no space left",
        ),
    ],
)
def test_errors_of_the_local_engine(answers: dict[str, Answer], expected: str) -> None:
    assert error_of(answers) == expected


def test_a_builder_of_the_environment_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDX_BUILDER", "gone")
    assert error_of({"docker buildx inspect": (1, 'ERROR: no builder "gone" found')}) == (
        "the environment variable BUILDX_BUILDER names the builder 'gone', which does not exist; unset it, or"
        " create the builder with `docker buildx create`"
    )


@pytest.mark.parametrize(
    ("builder", "answers", "expected"),
    [
        (
            Builder(context="big"),
            {"docker context inspect big": (1, 'context "big": context not found')},
            "builders: docker context 'big' does not exist; list contexts with `docker context ls`,"
            " or create one with `docker context create`",
        ),
        (
            Builder(builder="farm"),
            {"docker buildx inspect farm": (1, 'ERROR: no builder "farm" found')},
            "builders: buildx builder 'farm' does not exist; list builders with `docker buildx ls`,"
            " or create one with `docker buildx create`",
        ),
        (
            Builder(builder="farm"),
            {"docker buildx inspect farm": inspected("remote", "failed to connect to 10.0.0.1: timeout")},
            "node farm does not respond: failed to connect to 10.0.0.1: timeout",
        ),
    ],
)
def test_errors_of_a_node(builder: Builder, answers: dict[str, Answer], expected: str) -> None:
    assert error_of(answers, {AMD64: builder}) == expected


def test_a_platform_that_the_engine_cannot_run() -> None:
    with pytest.raises(ExternalError) as caught:
        nodes({}).check([AMD64, S390X])
    assert str(caught.value) == (
        f"the engine at {HOST} cannot run linux/s390x; install emulation on its machine with"
        " `docker run --privileged --rm tonistiigi/binfmt --install s390x`,"
        " or on Debian with `apt-get install qemu-user-static binfmt-support`"
    )


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?", True),
        ("error during connect: Get http://x: EOF", True),
        ("failed to solve: process ... did not complete", False),
    ],
)
def test_unreachable_engines_are_recognized(output: str, expected: bool) -> None:
    assert is_unreachable(output) is expected


TWO = (Builder(context="one"), Builder(context="two", jobs=3))
DEAD = "Cannot connect to the Docker daemon at ssh://one. Is the docker daemon running?"


def shared(one: str) -> Nodes:
    answers: dict[str, Answer] = {
        "docker context inspect one": context("ssh://one", "one"),
        "docker context inspect two": context("ssh://two", "two"),
        "docker --context one buildx inspect": one,
        "docker --context two buildx inspect": inspected(),
        "docker --context one info": info(cores=2),
        "docker --context two info": info(cores=8),
    }
    return Nodes({AMD64: TWO, ARM64: TWO[:1]}, ScriptedProcesses(answers))


def test_a_node_runs_two_builds_per_core_or_as_many_as_jobs_says() -> None:
    checked = shared(inspected()).check([AMD64])
    assert list(checked.usable[AMD64]) == list(TWO)
    assert checked.slots(0).capacity == 2 * 2 + 3
    assert checked.skipped == ()


def test_platforms_that_were_not_checked_have_slots_too() -> None:
    found = shared(inspected())
    slots = found.check([]).slots(0, {AMD64: found.for_platform(AMD64)})
    cores = os.cpu_count() or 1  # used for nodes that were not inspected
    assert slots.capacity == 2 * cores + 3
    assert list(slots.nodes(AMD64)) == list(TWO)
    assert found.check([AMD64]).slots(1, {ARM64: found.for_platform(ARM64)}).acquire(ARM64) == TWO[0]
    assert isinstance(found.processes, ScriptedProcesses)
    assert not [command for command in found.processes.commands if "one info" in command][1:]


def test_a_node_that_does_not_respond_is_skipped_if_another_can_build() -> None:
    found = shared(inspected("", DEAD))
    checked = found.check([AMD64])
    assert list(checked.usable[AMD64]) == [TWO[1]]
    expected = "cannot connect to the Docker engine at ssh://one; start it, or select another one with `builders` in bases/catalog.yaml"
    assert checked.skipped == (expected,)
    assert [found.responds(node) for node in TWO] == [False, True]
    with pytest.raises(ExternalError) as caught:
        found.check([AMD64, ARM64])
    assert str(caught.value) == expected
