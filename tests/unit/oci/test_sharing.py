"""Garbage collection, concurrent writers, and writers that are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Descriptor
from tests.fakes.images import image, index_of

OCI_INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "dist")


def test_only_unreferenced_files_are_collected(layout: Layout) -> None:
    raw = index_of([image(layers=[b"1"]).put_into(layout), image(layers=[b"2"]).put_into(layout)])
    layout.add(raw)
    layout.tag({"a:1": Descriptor.of(raw, OCI_INDEX)})
    assert layout.unreferenced() == ()
    junk = layout.blob_path(layout.add(b"junk"))
    interrupted = layout.scratch() / "partial"
    interrupted.write_bytes(b"123")
    assert layout.unreferenced() == (junk, interrupted.parent)
    assert layout.collect() == 7
    assert layout.unreferenced() == ()
    assert layout.is_intact(layout.entries()["a:1"], deep=True)


def test_a_damaged_entry_does_not_prevent_collection(layout: Layout) -> None:
    intact, damaged = image(layers=[b"1"]).put_into(layout), image(layers=[b"2"]).put_into(layout)
    layout.tag({"a:1": intact, "b:1": damaged})
    layout.blob_path(damaged.digest).write_bytes(b"")
    layout.collect()
    assert layout.is_intact(intact, deep=True)
    assert layout.blob_path(damaged.digest).exists()


def test_nothing_is_collected_while_another_writer_exists(layout: Layout) -> None:
    other = Layout(layout.root)
    entry = image().put_into(other)
    assert layout.collect() == 0
    other.tag({"a:1": entry})
    del other
    junk = layout.add(b"junk")
    assert layout.collect() == 4
    assert not layout.blob_path(junk).exists()
    assert layout.is_intact(entry, deep=True)


def test_concurrent_threads_lose_no_name(layout: Layout) -> None:
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        entry = image(layers=[b"%d" % number]).put_into(layout)
        barrier.wait()
        layout.tag({f"a:{number}": entry})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert sorted(layout.entries()) == [f"a:{number}" for number in range(8)]
    assert all(layout.is_intact(entry, deep=True) for entry in layout.entries().values())


WRITER = """
import sys, pathlib
from dfgen.oci.layout import Layout
from tests.fakes.images import image
layout = Layout(pathlib.Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    entry = image(layers=[b"%d" % number]).put_into(layout)
    layout.tag({f"{sys.argv[2]}:{number}": entry})
    print(number, flush=True)
"""


def _writer(layout: Layout, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(layout.root), name, str(count)]
    root = Path(__file__).parents[3]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)


def test_concurrent_processes_lose_no_name(layout: Layout) -> None:
    writers = [_writer(layout, name, 10) for name in ("a", "b")]
    assert [len(writer.communicate()[0].splitlines()) for writer in writers] == [10, 10]
    assert len(layout.entries()) == 20


def test_a_killed_writer_leaves_a_valid_layout(layout: Layout) -> None:
    chance = random.Random(7)
    for _ in range(4):
        writer = _writer(layout, "a", 1000)
        assert writer.stdout
        for _ in range(chance.randrange(1, 20)):
            writer.stdout.readline()
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
        assert layout.entries()
        assert all(layout.is_intact(entry, deep=True) for entry in layout.entries().values())
    layout.collect()
    assert layout.unreferenced() == ()
    entry = image(layers=[b"after"]).put_into(layout)
    layout.tag({"a:after": entry})
    assert layout.is_intact(layout.entries()["a:after"], deep=True)
