"""Which node builds a platform, and what it says when it cannot."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dfgen.catalog.model import Builder
from dfgen.engine.nodes import Checked, Endpoint, Node, Nodes, is_unreachable
from dfgen.errors import OutsideError
from dfgen.oci.platform import Platform
from tests.unit.models import AMD64, ARM64, LOCAL
from tests.unit.outside.scripted import Answer, ScriptedProcesses

S390X = Platform.parse("s390x")
HOST = "unix:///run/docker.sock"


def context(host: str = HOST, name: str = "default", tls: str = "<IN MEMORY>") -> str:
    endpoint = {"docker": {"Host": host}}
    return json.dumps([{"Name": name, "Endpoints": endpoint, "Storage": {"TLSPath": tls}}])


def inspected(driver: str = "docker", error: str = "") -> str:
    said = f"Error:         {error}\n" if error else ""
    return (
        f"Name:          default\nDriver:        {driver}\nLast Activity: 2026-11-24 05:45:06 +0000 UTC\n"
        f"{said}\nNodes:\nName:             default\nEndpoint:         default\nStatus:           running\n"
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
        ScriptedProcesses(answers | {end: said for end, said in GOOD.items() if end not in answers}),
    )


def _all(checked: Checked) -> list[Node]:
    return [node for found in checked.usable.values() for node in found.values()]


def refused(answers: dict[str, Answer], builders: dict[Platform, Builder] | None = None) -> str:
    with pytest.raises(OutsideError) as caught:
        nodes(answers, builders).check([AMD64, ARM64])
    return str(caught.value)


def test_the_local_engine_is_asked_once_for_all_platforms() -> None:
    found = nodes({})
    answers = found.check([AMD64, ARM64, AMD64])
    assert isinstance(found.processes, ScriptedProcesses)
    first, *both = found.processes.commands
    assert first == "docker context inspect"
    assert sorted(both) == ["docker buildx inspect", "docker info --format {{json .}}"]
    node = answers.usable[ARM64][LOCAL]
    assert (node.name, node.host, node.driver, node.native, node.cores) == (
        "default",
        HOST,
        "docker",
        AMD64,
        4,
    )
    assert node.platforms == {AMD64, Platform.of("linux", "amd64", "v2"), ARM64, Platform.parse("armv7")}
    assert answers.slots(0).most == 2 * 4
    assert answers.slots(3).most == 3
    assert list(answers.emulated) == ["linux/arm64 is emulated by default"]


def test_a_context_and_a_builder_are_asked_each_in_its_way() -> None:
    builders = {AMD64: Builder(context="big"), ARM64: Builder(builder="farm")}
    answers: dict[str, Answer] = {
        "docker context inspect big": context("ssh://big", "big"),
        "docker --context big buildx inspect": inspected(),
        "docker --context big info": info(cores=16),
        "docker buildx inspect farm --bootstrap": inspected("kubernetes"),
    }
    found = nodes(answers, builders)
    checked = found.check([AMD64, ARM64])
    assert [(node.name, node.driver, node.cores) for node in _all(checked)] == [
        ("big", "docker", 16),
        ("farm", "kubernetes", 0),
    ]
    cores = os.cpu_count() or 1  # a builder does not say how many it has
    assert checked.slots(0).most == 2 * (16 + cores)
    assert found.endpoint(Builder(context="big")) == Endpoint("ssh://big")
    assert found.endpoint(Builder(builder="farm")) == Endpoint(
        HOST
    )  # beside a builder there is no engine: the local one runs


@pytest.mark.parametrize(
    ("builder", "host", "expected"),
    [
        (Builder(), HOST, [PLUGIN]),
        (Builder(), "tcp://far:2376", ["docker", "buildx"]),  # with certificates, which docker hands on
        (Builder(context="big"), HOST, ["docker", "--context", "big", "buildx"]),
    ],
)
def test_a_local_engine_is_spoken_to_by_the_plugin_itself(
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
def test_a_docker_that_does_not_tell_its_plugins_is_asked_each_time(client: object) -> None:
    driver = [["driver-type", "io.containerd.snapshotter.v1"]]
    found = nodes({"docker info": json.dumps({"DriverStatus": driver, "ClientInfo": client})})
    found.check([AMD64])
    assert found.buildx(LOCAL) == ["docker", "buildx"]


def test_certificates_are_those_of_the_context(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    answers: dict[str, Answer] = {"docker context inspect": context("tcp://far:2376", "far", str(tmp_path))}
    found = nodes(answers, {AMD64: Builder(context="far")})
    assert found.endpoint(Builder(context="far")) == Endpoint("tcp://far:2376", tmp_path / "docker")


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (
            {"docker context inspect": (None, "docker: No such file or directory")},
            "there is no docker program; install Docker with its buildx plugin,"
            " or run `make demo`, which brings one on Debian",
        ),
        (
            {"docker buildx inspect": (1, "docker: unknown command: docker buildx\n\nRun 'docker --help'")},
            "docker has no buildx; install its plugin (docker-buildx), or run `make demo`,"
            " which brings one on Debian",
        ),
        (
            {
                "docker buildx inspect": inspected(
                    "", f"Cannot connect to the Docker daemon at {HOST}. Is it?"
                )
            },
            f"no Docker engine answers at {HOST}; start it, or run `make demo`, which brings one on Debian",
        ),
        (
            {"docker buildx inspect": inspected("", f"permission denied while trying to connect to {HOST}")},
            f"the Docker engine at {HOST} refuses this user; add it to the group docker, or run as root",
        ),
        (
            {"docker info": (1, "Cannot connect to the Docker daemon at x")},
            f"no Docker engine answers at {HOST}; start it, or run `make demo`, which brings one on Debian",
        ),
        (
            {"docker info": info(store="overlay2")},
            f"the Docker engine at {HOST} cannot export an OCI layout, its containerd image store is off;"
            ' put {"features": {"containerd-snapshotter": true}} into its daemon.json and restart it',
        ),
        (
            {"docker buildx inspect": inspected("", "no space left")},
            f"the node {HOST} does not answer: no space left",
        ),
    ],
)
def test_what_is_wrong_with_the_local_engine(answers: dict[str, Answer], expected: str) -> None:
    assert refused(answers) == expected


@pytest.mark.parametrize(
    ("builder", "answers", "expected"),
    [
        (
            Builder(context="big"),
            {"docker context inspect big": (1, 'context "big": context not found')},
            "builders: there is no docker context 'big'; `docker context ls` lists them,"
            " `docker context create` makes one",
        ),
        (
            Builder(builder="farm"),
            {"docker buildx inspect farm": (1, 'ERROR: no builder "farm" found')},
            "builders: there is no buildx builder 'farm'; `docker buildx ls` lists them,"
            " `docker buildx create` makes one",
        ),
        (
            Builder(builder="farm"),
            {"docker buildx inspect farm": inspected("remote", "failed to connect to 10.0.0.1: timeout")},
            "the node farm does not answer: failed to connect to 10.0.0.1: timeout",
        ),
    ],
)
def test_what_is_wrong_with_a_node(builder: Builder, answers: dict[str, Answer], expected: str) -> None:
    assert refused(answers, {AMD64: builder}) == expected


def test_a_platform_that_the_engine_cannot_run() -> None:
    with pytest.raises(OutsideError) as caught:
        nodes({}).check([AMD64, S390X])
    assert str(caught.value) == (
        f"the engine at {HOST} cannot run linux/s390x; add it there with"
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
def test_whether_an_engine_answered(output: str, expected: bool) -> None:
    assert is_unreachable(output) is expected


TWO = (Builder(context="one"), Builder(context="two", jobs=3))
DEAD = "Cannot connect to the Docker daemon at ssh://one. Is the docker daemon running?"


def sharing(one: str) -> Nodes:
    answers: dict[str, Answer] = {
        "docker context inspect one": context("ssh://one", "one"),
        "docker context inspect two": context("ssh://two", "two"),
        "docker --context one buildx inspect": one,
        "docker --context two buildx inspect": inspected(),
        "docker --context one info": info(cores=2),
        "docker --context two info": info(cores=8),
    }
    return Nodes({AMD64: TWO, ARM64: TWO[:1]}, ScriptedProcesses(answers))


def test_nodes_that_share_a_platform_take_two_builds_a_core_or_as_many_as_they_are_told() -> None:
    checked = sharing(inspected()).check([AMD64])
    assert list(checked.usable[AMD64]) == list(TWO)
    assert checked.slots(0).most == 2 * 2 + 3
    assert checked.left_out == ()


def test_platforms_that_were_not_checked_have_their_nodes_too() -> None:
    found = sharing(inspected())
    slots = found.check([]).slots(0, {AMD64: found.of(AMD64)})
    cores = os.cpu_count() or 1  # what was not asked does not say how many it has
    assert slots.most == 2 * cores + 3
    assert list(slots.left(AMD64)) == list(TWO)
    assert found.check([AMD64]).slots(1, {ARM64: found.of(ARM64)}).take(ARM64) == TWO[0]
    assert isinstance(found.processes, ScriptedProcesses)
    assert not [command for command in found.processes.commands if "one info" in command][1:]


def test_a_node_that_does_not_answer_is_left_out_where_another_is_there() -> None:
    found = sharing(inspected("", DEAD))
    checked = found.check([AMD64])
    assert list(checked.usable[AMD64]) == [TWO[1]]
    expected = (
        "no Docker engine answers at ssh://one; start it, or run `make demo`, which brings one on Debian"
    )
    assert checked.left_out == (expected,)
    assert [found.answers(node) for node in TWO] == [False, True]
    with pytest.raises(OutsideError) as caught:
        found.check([AMD64, ARM64])
    assert str(caught.value) == expected
