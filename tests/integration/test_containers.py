"""What a real engine answers if a container cannot start: whether the image is at fault, or the engine."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from docker.client import DockerClient
from docker.errors import APIError

from dfgen.catalog.model import SmokeTest
from dfgen.commands.building.smoke import judge
from dfgen.engine.cleanup import IMAGE_LABEL, ImageRecords, sweep
from dfgen.engine.containers import LoadedImage, Running
from dfgen.engine.nodes import Nodes
from dfgen.engine.process import Processes
from dfgen.oci.platform import Platform
from tests.unit.models import AMD64, ARM64

pytestmark = pytest.mark.integration

UP = SmokeTest(name="up", starts=1)
SHELL = SmokeTest(name="shell", command=("true",))
MISSING = "no such file or directory"
RANGE = "uids and gids must be in range 0-2147483647"
FORMAT = "exited with status 1 within 1 s; last line of output: exec /x: exec format error"
INTERPRETER = f"exited with status 1 within 1 s; last line of output: exec /x: {MISSING}"


def cannot(why: str) -> str:
    return f"the container could not start: {why}"


# Faults of images: instructions, the file /x with its mode, and the error. `*` is a path of the engine.
FAULTS: Mapping[str, tuple[Sequence[str], bytes | None, int, str]] = {
    "user": (["USER nobodyhere", "CMD sleep 9"], None, 0, cannot("unable to find user nobodyhere: no matching entries in passwd file")),
    "group": (["USER 0:nogroup", "CMD sleep 9"], None, 0, cannot("unable to find group nogroup: no matching entries in group file")),
    "high user": (["USER 99999999999", "CMD sleep 9"], None, 0, cannot(RANGE)),
    "entrypoint": (['ENTRYPOINT ["/none"]'], None, 0, cannot(f'exec: "/none": stat /none: {MISSING}')),
    "in no PATH": (['CMD ["none"]'], None, 0, cannot('exec: "none": executable file not found in $PATH')),
    "shell form": (["CMD none"], None, 0, "exited with status 127 within 1 s; last line of output: /bin/sh: none: not found"),
    "no command": ([], None, 0, cannot("no command specified")),
    "empty": (['ENTRYPOINT [""]'], None, 0, cannot("no command specified")),
    "folder": (['ENTRYPOINT ["/etc"]'], None, 0, cannot('exec: "/etc": permission denied')),
    "mode": (['ENTRYPOINT ["/x"]'], b"#!/bin/sh\n", 0o644, cannot('exec: "/x": permission denied')),
    "empty file": (['ENTRYPOINT ["/x"]'], b"", 0o755, FORMAT),
    "no shebang": (['ENTRYPOINT ["/x"]'], b"true\n", 0o755, FORMAT),
    "no program": (['ENTRYPOINT ["/x"]'], b"\x7fELF\x02\x01\x01", 0o755, FORMAT),
    "CRLF": (['ENTRYPOINT ["/x"]'], b"#!/bin/sh\r\ntrue\r\n", 0o755, INTERPRETER),
    "interpreter": (['ENTRYPOINT ["/x"]'], b"#!/usr/bin/none\n", 0o755, INTERPRETER),
    "workdir": (["WORKDIR /x", "CMD sleep 9"], b"", 0o644, cannot("Cannot mkdir: /x is not a directory")),
    "below a file": (["WORKDIR /x/y", "CMD sleep 9"], b"", 0o644, cannot("*/x*: not a directory")),
    "volume": (["VOLUME /x", "CMD sleep 9"], b"", 0o644, cannot("cannot mount volume over existing file, *")),
}  # fmt: skip


@dataclass(frozen=True)
class Images:
    """Imports images for one platform into the local engine."""

    client: DockerClient
    layer: bytes
    platform: Platform
    names: list[str] = field(default_factory=list)

    def add(self, changes: Sequence[str], content: bytes | None = None, mode: int = 0o755) -> LoadedImage:
        """Import busybox, with the file /x, as an image; `changes` are instructions of a Dockerfile."""
        name = f"localhost/dfgen-test-containers:{uuid.uuid4().hex}"
        self.names.append(name)
        options = [word for one in ("ENV PATH=/bin", *changes) for word in ("--change", one)]
        subprocess.run(
            ["docker", "import", "--platform", str(self.platform), *options, "-", name],
            input=with_file(self.layer, content, mode),
            check=True,
            capture_output=True,
        )
        return LoadedImage(self.client, name, self.platform, Running())


def with_file(layer: bytes, content: bytes | None, mode: int, name: str = "x") -> bytes:
    if content is None:
        return layer
    data = io.BytesIO(layer)
    with tarfile.open(fileobj=data, mode="a") as tar:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), mode
        tar.addfile(member, io.BytesIO(content))
    return data.getvalue()


@pytest.fixture(params=[AMD64, ARM64], ids=str)
def images(request: pytest.FixtureRequest, layers: Mapping[str, bytes]) -> Iterator[Images]:
    platform: Platform = request.param
    client = DockerClient(base_url=os.environ["DOCKER_HOST"])
    found = Images(client, layers[platform.architecture], platform)
    yield found
    for name in found.names:
        client.images.remove(name, force=True)
        assert client.containers.list(all=True, filters={"label": f"{IMAGE_LABEL}={name}"}) == []
        assert client.images.list(filters={"reference": f"{name}*"}) == []
    client.close()


def agrees(text: str, expected: str) -> bool:
    start, *rest = expected.split("*")
    return text.startswith(start) and all(part in text for part in rest) and (text == expected or bool(rest))


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_image_fails_the_test(images: Images, name: str) -> None:
    changes, content, mode, expected = FAULTS[name]
    problem = judge(UP, images.add(changes, content, mode).run(UP))
    assert agrees(problem, expected), problem


# Options of containers that no image can make work, in place of an engine that is broken.
BROKEN: Mapping[str, Mapping[str, Any]] = {
    "runtime": {"runtime": "no-such-runtime"},
    "device": {"devices": ["/dev/no-such-device"]},
    "security": {"security_opt": ["seccomp=no json"]},
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class OnBrokenEngine(LoadedImage):
    """Starts all containers with options that the engine cannot fulfil."""

    broken: Mapping[str, Any]

    def _options(self, test: SmokeTest) -> dict[str, Any]:
        return {**LoadedImage._options(self, test), **self.broken}


@pytest.mark.parametrize("user", ["0", "nobodyhere"])
@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("images", [AMD64], indirect=True, ids=str)
def test_a_fault_of_the_engine_is_raised(images: Images, name: str, user: str) -> None:
    one = images.add([f"USER {user}", "CMD sleep 9"])
    broken = OnBrokenEngine(one.client, one.name, one.platform, one.running, broken=BROKEN[name])
    with pytest.raises(APIError):
        broken.run(UP)


def test_an_image_that_somebody_removed_is_the_engines_fault(images: Images) -> None:
    image = images.add(["CMD sleep 9"])
    images.client.images.remove(images.names.pop(), force=True)
    with pytest.raises(APIError, match="No such image"):
        image.run(UP)


# Tests that start an image, the instructions and the file /x of the image, and the error; empty if it passes.
STARTED: Mapping[str, tuple[SmokeTest, Sequence[str], bytes | None, str]] = {
    "stays up": (UP, ["CMD sleep 99"], None, ""),
    "with arguments": (
        SmokeTest(name="args", args=("sleep 99",), starts=1),
        ['ENTRYPOINT ["sh", "-c"]', "CMD false"],
        None,
        "",
    ),
    "ends too early": (
        SmokeTest(name="up", starts=3),
        ["CMD echo done"],
        None,
        "exited with status 0 within 3 s; last line of output: done; use 'args' to test a program that ends",
    ),
    "ends by itself": (SmokeTest(name="args", args=(), expect="hi"), ["CMD echo hi"], None, ""),
    "ends with a status": (SmokeTest(name="args", args=(), exit=3), ["CMD exit 3"], None, ""),
    "fails": (
        SmokeTest(name="args", args=("--none",)),
        ['ENTRYPOINT ["uname"]'],
        None,
        "exited with status 1, expected 0; last line of output: *",
    ),
    "does not end": (
        SmokeTest(name="args", args=(), timeout=2),
        ["CMD echo up; exec sleep 99"],
        None,
        "did not finish within 2 s; last line of output: up",
    ),
    "listens": (SmokeTest(name="ports", ports=(80, 81)), ["CMD httpd; httpd -p 81; sleep 99"], None, ""),
    "listens late": (SmokeTest(name="ports", ports=(80,)), ["CMD sleep 2; httpd -f -p 0.0.0.0:80"], None, ""),
    "listens, and answers": (
        SmokeTest(name="run", ports=(80,), command="wget -qO- localhost/x", expect="hello"),
        ["CMD httpd -f -h /"],
        b"hello",
        "",
    ),
    "listens elsewhere": (
        SmokeTest(name="ports", ports=(80, 443), timeout=3),
        ["CMD echo up; httpd -f -p 8080"],
        None,
        "did not accept connections on ports 80 and 443 within 3 s, listens on port 8080; last line of output: up",
    ),
    "listens nowhere": (
        SmokeTest(name="ports", ports=(80,), timeout=3),
        ["CMD sleep 99"],
        None,
        "did not accept connections on port 80 within 3 s, listens on no port; no output",
    ),
    "listens on 127.0.0.1": (
        SmokeTest(name="ports", ports=(80,), timeout=3),
        ["CMD httpd -f -p 127.0.0.1:80"],
        None,
        "accepted connections on port 80 only from inside its container, on 127.0.0.1; no output",
    ),
    "ends before it listens": (
        SmokeTest(name="ports", ports=(80,)),
        ["CMD echo no port; exit 4"],
        None,
        "exited with status 4 before it accepted connections on port 80; last line of output: no port",
    ),
    "prints": (SmokeTest(name="logs", logs="^ready in [0-9]+ s$"), ["CMD sleep 1; echo ready in 1 s; sleep 99"], None, ""),
    "prints, and ends": (SmokeTest(name="logs", logs="ready"), ["CMD echo ready >&2"], None, ""),
    "prints something else": (
        SmokeTest(name="logs", logs="ready", timeout=2),
        ["CMD echo waiting; sleep 99"],
        None,
        "output did not match 'ready' within 2 s; last line of output: waiting",
    ),
    "ends before it prints": (
        SmokeTest(name="logs", logs="ready"),
        ["CMD echo no; exit 2"],
        None,
        "exited with status 2 before its output matched 'ready'; last line of output: no",
    ),
    "ends before the command": (
        SmokeTest(name="run", logs="ready", command=("true",)),
        ["CMD echo ready"],
        None,
        "exited with status 0 before the command ran; last line of output: ready",
    ),
    "has all": (
        SmokeTest(name="all", starts=3, ports=(80,), logs="up", command="test -e /x"),
        ["CMD echo up; httpd -f"],
        b"",
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STARTED)
def test_a_started_image(images: Images, name: str) -> None:
    test, changes, content, expected = STARTED[name]
    problem = judge(test, images.add(changes, content).run(test))
    assert agrees(problem, expected), problem


def test_a_sweep_also_removes_the_image_that_checks_the_engine(images: Images, tmp_path: Path) -> None:
    name = images.add([]).name
    images.client.images.get(name).tag(f"{name}-control")
    with ImageRecords(tmp_path).create(name, "", os.environ["DOCKER_HOST"]):
        pass
    swept = sweep(tmp_path, Nodes({}, Processes()))
    assert (swept.removed, swept.problems) == (1, ())
    assert images.client.images.list(filters={"reference": f"{images.names.pop()}*"}) == []


def test_ports_of_an_image_without_a_shell(images: Images) -> None:
    with tarfile.open(fileobj=io.BytesIO(images.layer)) as tar:
        found = tar.extractfile("bin/busybox")
        assert found
        alone = with_file(bytes(10240), found.read(), 0o755, "busybox")
    test = SmokeTest(name="ports", ports=(80,))
    image = replace(images, layer=alone).add(['CMD ["/busybox", "httpd", "-f"]'])
    assert judge(test, image.run(test)) == (
        "'ports' needs /bin/sh in the image; use 'healthy' or 'logs' instead; no output"
    )
