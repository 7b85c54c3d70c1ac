"""A publish that is killed at any request: no tag is wrong, and the next run ends right."""

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
    """Kills a process when the n-th request of a kind comes in, before or after it is carried out."""

    victim: subprocess.Popen[bytes] | None = None
    left = 0
    kind = ""  # what the method and path have to match
    carried_out = False

    def handle(self, call: Call) -> tuple[Response, Fault]:
        self.left -= bool(re.search(self.kind, f"{call.method} {call.path}"))
        if self.victim and self.left == 0:
            answered = super().handle(call) if self.carried_out else (Response(status=500), Fault(reset=True))
            os.kill(self.victim.pid, signal.SIGKILL)
            self.victim.wait()
            return answered
        return super().handle(call)


@pytest.fixture
def registry() -> Iterator[Killing]:
    with Killing() as registry:
        yield registry


def run(registry: Killing, layout: Layout, kill_at: int = 0, carried_out: bool = False) -> int:
    command = [sys.executable, "-c", PUBLISH, f"{registry.address}/team", str(layout.root)]
    registry.victim, registry.left, registry.carried_out = None, kill_at, carried_out
    process = subprocess.Popen(command, cwd=Path(__file__).parents[3])
    registry.victim = process if kill_at else None
    return process.wait()


def assert_no_tag_is_half(registry: Killing) -> None:
    """Whatever is tagged is there with all that it names, and the merged tag only with its pair."""
    tags = registry.tags.get(NAME, {})
    for digest in tags.values():
        document = parse(*registry.manifests[NAME][digest])
        for entry in document.manifests if isinstance(document, Index) else document.blobs:
            home = registry.manifests if isinstance(document, Index) else registry.blobs
            assert str(entry.digest) in home[NAME]
    if "1.0" in tags:
        merged = parse(*registry.manifests[NAME][tags["1.0"]])
        assert isinstance(merged, Index)
        bound = sorted(str(entry.digest) for entry in merged.images)
        assert bound == sorted(tags[tag] for tag in ("1.0-x86_64", "1.0-aarch64"))


def uploads(registry: Killing) -> Counter[str]:
    """How often each blob was uploaded."""
    return Counter(
        seen.call.value("digest")
        for seen in registry.seen
        if seen.call.method == "PUT" and "blobs/uploads" in seen.call.path and seen.status == 201
    )


def test_killed_at_any_request_it_leaves_no_tag_wrong_and_ends_right_the_next_time(
    registry: Killing, build: Build, layout: Layout
) -> None:
    build(pair())
    assert run(registry, layout) == 0
    expected, total = dict(registry.tags[NAME]), registry.count()
    chance = random.Random(total)
    # The last requests write manifests and tags; the ones before them, blobs.
    points = [*chance.sample(range(1, total - 6), 3), *chance.sample(range(total - 6, total + 1), 3)]
    for number, point in enumerate(points):
        for store in (registry.tags, registry.manifests, registry.blobs):
            store.clear()
        registry.forget()
        (layout.root / "published.json").unlink()
        assert run(registry, layout, point, carried_out=bool(number % 2)) == -signal.SIGKILL
        assert_no_tag_is_half(registry)
        assert run(registry, layout) == 0
        assert registry.tags[NAME] == expected
        assert_no_tag_is_half(registry)
        assert set(uploads(registry).values()) == {1}


def test_killed_while_tags_move_it_knows_its_own_tags_again(
    registry: Killing, build: Build, layout: Layout
) -> None:
    build(pair())
    assert run(registry, layout) == 0
    before = dict(registry.tags[NAME])
    build(pair(), "new")
    registry.kind = "PUT .*/manifests/1.0-"
    assert run(registry, layout, 2, carried_out=True) == -signal.SIGKILL
    assert registry.tags[NAME]["1.0"] == before["1.0"]
    assert registry.tags[NAME] != before
    build(pair(), "newer")
    assert run(registry, layout) == 0
    entries = layout.entries()
    expected = {name.partition(":")[2]: str(entry.digest) for name, entry in entries.items()}
    assert registry.tags[NAME] == expected
