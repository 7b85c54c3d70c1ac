"""A publish that is killed at any request leaves only valid tags, and the next run completes it."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Index, parse
from tests.fakes.http import Call, Fault, Response
from tests.fakes.registry import FakeRegistry
from tests.unit.pairs import pair
from tests.unit.publish.conftest import Build

NAME = "team/java-base"
PUBLISH = """
import sys, pathlib
from dfgen.oci.layout import Layout
from dfgen.commands.publish.ledger import Ledger
from dfgen.registry import NoCredentials, Registry, RegistryOptions
from dfgen.commands.publish import Publishing, plan, publish
from tests.unit.pairs import catalog, pair
images, prefix, root = pair(), sys.argv[1], pathlib.Path(sys.argv[2])
client = Registry(RegistryOptions(), None, NoCredentials())
how = Publishing(catalog=catalog(images), store=Layout(root), registry=client, ledger=Ledger(root),
                 registries=[prefix])
failed = publish(plan(images, how), how).failed
if failed:
    raise failed
"""


class Killing(FakeRegistry):
    """Kills a process at its n-th matching request, before or after handling it."""

    victim: subprocess.Popen[bytes] | None = None
    left = 0
    pattern = ""  # regular expression for method and path
    is_handled = False

    def handle(self, call: Call) -> tuple[Response, Fault]:
        self.left -= bool(re.search(self.pattern, f"{call.method} {call.path}"))
        if self.victim and self.left == 0:
            response = super().handle(call) if self.is_handled else (Response(status=500), Fault(reset=True))
            os.kill(self.victim.pid, signal.SIGKILL)
            self.victim.wait()
            return response
        return super().handle(call)


@pytest.fixture
def registry() -> Iterator[Killing]:
    with Killing() as registry:
        yield registry


def run(registry: Killing, layout: Layout, kill_at: int = 0, is_handled: bool = False) -> int:
    command = [sys.executable, "-c", PUBLISH, f"{registry.address}/team", str(layout.root)]
    registry.victim, registry.left, registry.is_handled = None, kill_at, is_handled
    process = subprocess.Popen(command, cwd=Path(__file__).parents[3])
    registry.victim = process if kill_at else None
    return process.wait()


def assert_tags_are_complete(registry: Killing) -> None:
    """Everything that a tag refers to exists, and the merged tag refers to both architectures' tags."""
    tags = registry.tags.get(NAME, {})
    for digest in tags.values():
        document = parse(*registry.manifests[NAME][digest])
        for entry in document.manifests if isinstance(document, Index) else document.blobs:
            stored = registry.manifests if isinstance(document, Index) else registry.blobs
            assert str(entry.digest) in stored[NAME]
    if "1.0" in tags:
        merged = parse(*registry.manifests[NAME][tags["1.0"]])
        assert isinstance(merged, Index)
        children = sorted(str(entry.digest) for entry in merged.images)
        assert children == sorted(tags[tag] for tag in ("1.0-x86_64", "1.0-aarch64"))


def uploads(registry: Killing) -> Counter[str]:
    """Count the uploads of each blob."""
    return Counter(
        seen.call.value("digest")
        for seen in registry.seen
        if seen.call.method == "PUT" and "blobs/uploads" in seen.call.path and seen.status == 201
    )


def test_a_kill_at_any_request_leaves_valid_tags_and_the_next_run_completes(
    registry: Killing, build: Build, layout: Layout
) -> None:
    build(pair())
    assert run(registry, layout) == 0
    expected, total = dict(registry.tags[NAME]), registry.count()
    chance = random.Random(total)
    # The last requests write manifests and tags, those before them upload blobs.
    points = [*chance.sample(range(1, total - 6), 3), *chance.sample(range(total - 6, total + 1), 3)]
    for number, point in enumerate(points):
        for store in (registry.tags, registry.manifests, registry.blobs):
            store.clear()
        registry.forget()
        (layout.root / "published.json").unlink()
        assert run(registry, layout, point, is_handled=bool(number % 2)) == -signal.SIGKILL
        assert_tags_are_complete(registry)
        assert run(registry, layout) == 0
        assert registry.tags[NAME] == expected
        assert_tags_are_complete(registry)
        assert set(uploads(registry).values()) == {1}


def test_after_a_kill_while_tags_move_their_digests_are_recognized(
    registry: Killing, build: Build, layout: Layout
) -> None:
    build(pair())
    assert run(registry, layout) == 0
    before = dict(registry.tags[NAME])
    build(pair(), "new")
    registry.pattern = "PUT .*/manifests/1.0-"
    assert run(registry, layout, 2, is_handled=True) == -signal.SIGKILL
    assert registry.tags[NAME]["1.0"] == before["1.0"]
    assert registry.tags[NAME] != before
    build(pair(), "newer")
    assert run(registry, layout) == 0
    entries = layout.entries()
    expected = {name.partition(":")[2]: str(entry.digest) for name, entry in entries.items()}
    assert registry.tags[NAME] == expected
