"""The checks of `dfgen doctor`, with a fake registry and fake nodes."""

from __future__ import annotations

from pathlib import Path

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Builder
from dfgen.commands.doctor import (
    Result,
    check_pins,
    doctor,
    leftover_checks,
    platform_checks,
    registry_checks,
)
from dfgen.engine.cleanup import ImageRecords
from dfgen.engine.nodes import CheckedNodes, Node, Nodes
from dfgen.engine.process import Processes
from dfgen.errors import ExternalError
from dfgen.registry import Registry, RegistryOptions
from tests.fakes.registry import FakeRegistry
from tests.unit.catalogs import FAMILY, loaded, locked
from tests.unit.models import AMD64, ARM64


class _Nodes(Nodes):
    """Nodes that report fixed properties: amd64 is native and arm64 emulated; the second node is down."""

    def check(self, platforms: object) -> CheckedNodes:
        node = Node(
            name="default",
            host="unix:///run/docker.sock",
            driver="docker",
            native=AMD64,
            platforms=frozenset((AMD64, ARM64)),
        )
        return CheckedNodes({platform: {Builder(): node} for platform in (AMD64, ARM64)}, ("other: is down",))


def test_platforms_are_native_or_emulated() -> None:
    checks = platform_checks([AMD64, ARM64], _Nodes({}, Processes()))
    assert [(one.name, one.ok, one.message) for one in doctor(checks)] == [
        (
            "platform linux/amd64",
            True,
            "native on node 'default' (unix:///run/docker.sock); other: is down",
        ),
        (
            "platform linux/arm64",
            True,
            "emulated on node 'default' (unix:///run/docker.sock); other: is down",
        ),
    ]


def test_a_failed_check_does_not_stop_the_others() -> None:
    def fail() -> str:
        raise ExternalError("no engine; start one")

    assert doctor([("a", fail), ("b", lambda: "fine")]) == (
        Result(name="a", ok=False, message="no engine; start one"),
        Result(name="b", ok=True, message="fine"),
    )


def test_pins_of_parents(tmp_path: Path) -> None:
    catalog = loaded(tmp_path, FAMILY)
    assert check_pins(catalog, locked(catalog)) == "the parent is pinned"
    (failed,) = doctor([("lock", lambda: check_pins(catalog, Lock()))])
    assert failed.message == (
        "bases/lock.json has no pin for docker.io/library/busybox:1.36; run `dfgen lock`"
    )


def test_an_interrupted_smoke_test_is_reported(tmp_path: Path) -> None:
    records = ImageRecords(tmp_path)
    assert [*leftover_checks(records)] == []
    with records.create("localhost/dfgen-test:a", "", "unix:///x"):
        assert [*leftover_checks(records)] == []
    (found,) = doctor(leftover_checks(records))
    assert (found.name, found.ok, found.message) == (
        "smoke tests",
        False,
        "an interrupted smoke test left localhost/dfgen-test:a in an engine; run `dfgen gc`, or leave it to the"
        " next build",
    )


def test_each_registry_is_checked_once(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        host = registry.address
        catalog = loaded(
            tmp_path, FAMILY.replace("docker.io/library/busybox", f"{host}/os"), f"registry: {host}/team\n"
        )
        found = doctor(registry_checks(catalog, Registry(RegistryOptions())))
    message = f"responds; {host}/os:1.36 does not exist"
    assert found == (Result(name=f"registry {host}", ok=True, message=message),)
