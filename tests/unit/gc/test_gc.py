"""Garbage collection of dist/: only unreferenced data is deleted."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dfgen.commands.gc import Garbage, collect
from dfgen.commands.publish.ledger import Ledger
from dfgen.errors import ExternalError
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import INPUTS, OCI_INDEX, Descriptor
from tests.fakes.images import image, index_of
from tests.unit.cli.run import dfgen
from tests.unit.world import World

HOUR = 3600


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "dist")


def left(found: list[Garbage]) -> dict[str, tuple[int, int]]:
    return {one.kind: (one.files, one.size) for one in found if one.files}


def record(layout: Layout, name: str) -> Path:
    path = layout.root / "inputs" / f"{Digest.of(name.encode()).hex}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}")
    return path


def test_a_missing_layout_has_no_garbage_and_is_not_created(layout: Layout) -> None:
    assert collect(layout) == []
    assert not layout.root.exists()


def test_data_of_an_earlier_build_is_garbage_after_the_next(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "b": ["a"]})
    world.records.write_run(world.build().to_json())
    assert left(collect(world.layout)) == {}
    (tmp_path / "bases/a/1/Dockerfile_amd64").write_text("FROM other\n")
    world.builder.content["a:1@amd64"] = "other"
    world.records.write_run(world.build().to_json())
    found = left(collect(world.layout, dry_run=True))
    assert found["inputs"][0] == 4  # inputs and causes: of a for amd64, and of b, which is built on it
    assert left(collect(world.layout)) == found
    assert left(collect(world.layout)) == {}
    assert set(world.reasons().values()) == {"up to date"}
    assert all(world.layout.is_intact(one, deep=True) for one in world.layout.entries().values())


def test_images_that_were_published_last_are_kept(layout: Layout) -> None:
    raw = index_of([image(layers=[b"1"]).put_into(layout), image(layers=[b"2"]).put_into(layout)])
    index = Descriptor.of(raw, OCI_INDEX)
    layout.add(raw)
    # The index, two manifests with a layer each, and the configuration that they share.
    assert left(collect(layout, dry_run=True))["blobs"][0] == 6
    Ledger(layout.root).record({"localhost/a:1": [index.digest]})
    assert left(collect(layout)) == {}
    assert layout.is_intact(index, deep=True)


def test_data_in_the_record_of_the_last_run_is_kept(layout: Layout) -> None:
    entry = image().put_into(layout)
    kept, gone = record(layout, "kept"), record(layout, "gone")
    run = {"images": [{"digest": str(entry.digest), "inputs": f"sha256:{kept.stem}"}]}
    (layout.root / "build.json").write_text(json.dumps(run))
    assert left(collect(layout)) == {"inputs": (1, 2)}
    assert (kept.exists(), gone.exists()) == (True, False)
    assert layout.is_intact(entry, deep=True)


def test_inputs_of_tagged_images_are_kept(layout: Layout) -> None:
    kept = record_of_entry(layout)
    assert left(collect(layout)) == {}
    assert kept.exists()


def record_of_entry(layout: Layout) -> Path:
    entry = image().put_into(layout)
    kept = record(layout, "kept")
    marked = Descriptor(
        media_type=entry.media_type,
        digest=entry.digest,
        size=entry.size,
        annotations={INPUTS: f"sha256:{kept.stem}"},
    )
    layout.tag({"a:1": marked})
    return kept


def test_files_of_killed_writers_are_deleted_but_not_those_being_written(layout: Layout) -> None:
    (layout.scratch() / "half").write_bytes(b"123")
    record(layout, "x").unlink()
    old, young = layout.root / ".build.json.abc", layout.root / "inputs" / ".12.json.def"
    for path in (old, young):
        path.write_text("12345")
    now = time.time()
    os.utime(old, (now - HOUR - 10, now - HOUR - 10))
    assert left(collect(layout, now=lambda: now)) == {"interrupted": (2, 8)}
    assert (old.exists(), young.exists()) == (False, True)
    assert left(collect(layout, now=lambda: now + HOUR + 10)) == {"interrupted": (1, 5)}


@pytest.mark.parametrize("built", [True, False])
def test_files_of_killed_writers_in_the_catalog_are_deleted_and_nothing_else(
    layout: Layout, built: bool
) -> None:
    if built:
        layout.tag({"a:1": image().put_into(layout)})
    bases = layout.root.parent / "bases"
    left_there = (".lock.json.0123abcd", "a/.base.yaml.0123abcd", "a/1/.Dockerfile_amd64.0123abcd")
    others = ("a/files/.env.0123abcd", "a/.lock.json", "a/1/.Dockerfile_amd64.swp", "a/1/Dockerfile_amd64")
    now = time.time()
    for name in (*left_there, *others):
        path = bases / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("12345")
        os.utime(path, (now - HOUR - 10, now - HOUR - 10))
    (bases / "a" / ".base.yaml.fffffff0").write_text("being written")
    found = left(collect(layout, bases=bases, dry_run=True, now=lambda: now))
    assert found == {"interrupted": (3, 15)}
    assert left(collect(layout, bases=bases, now=lambda: now)) == found
    rest = {str(path.relative_to(bases)) for path in bases.rglob("*") if path.is_file()}
    assert rest == {*others, "a/.base.yaml.fffffff0"}
    assert layout.root.exists() is built


def test_nothing_is_removed_while_another_process_writes(layout: Layout) -> None:
    other = Layout(layout.root)
    junk = other.blob_path(other.add(b"junk"))
    with pytest.raises(ExternalError) as caught:
        collect(layout)
    advice = "run `dfgen gc` again when it has ended"
    assert str(caught.value) == (f"{layout.root}: another process is writing, nothing was removed; {advice}")
    assert junk.exists()


def test_no_record_is_written_during_the_collection(layout: Layout) -> None:
    layout.add(b"junk")
    seen: list[float] = []

    def now() -> float:
        handle = os.open(layout.root / ".lock", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)
        seen.append(time.time())
        return seen[-1]

    collect(layout, now=now)
    assert len(seen) == 1


def test_an_unreadable_record_keeps_everything(layout: Layout) -> None:
    junk = layout.blob_path(layout.add(b"junk"))
    (layout.root / "build.json").mkdir()
    with pytest.raises(ExternalError) as caught:
        collect(layout)
    assert str(caught.value) == f"{layout.root / 'build.json'}: cannot be read: Is a directory"
    assert junk.exists()


def test_a_killed_collection_leaves_a_valid_layout_and_the_next_one_resumes(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "dist")
    entry = image().put_into(layout)
    layout.tag({"a:1": entry})
    folder = layout.blob_path(entry.digest).parent
    for at in range(3000):
        data = str(at).encode()
        (folder / Digest.of(data).hex).write_bytes(data)
    program = (
        "import sys; from pathlib import Path; from dfgen.oci.layout import Layout\n"
        "from dfgen.commands.gc import collect\n"
        "collect(Layout(Path(sys.argv[1])))\n"
    )
    whole = len(list(folder.iterdir()))
    del layout  # releases its share of the writers' lock
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "dist")])
    while child.poll() is None and len(list(folder.iterdir())) == whole:
        pass
    child.send_signal(signal.SIGKILL)
    child.wait()
    rest = len(list(folder.iterdir()))
    assert rest < whole
    assert Layout(tmp_path / "dist").is_intact(entry, deep=True)
    collect(Layout(tmp_path / "dist"))
    assert len(list(folder.iterdir())) == 3  # the manifest, its configuration and its layer


def test_the_command_reports_what_it_removes(tmp_path: Path) -> None:
    Layout(tmp_path / "dist").add(b"x" * 2500)
    assert dfgen("-C", tmp_path, "gc", "--dry-run").lines == ["1 file (2.5 kB) would be removed"]
    done = dfgen("-C", tmp_path, "gc")
    assert done.out.split() == ["kind", "files", "size", "blobs", "1", "2.5", "kB"]
    assert done.lines == ["1 file (2.5 kB) removed"]
    again = dfgen("-C", tmp_path, "--format", "json", "gc")
    assert [one["files"] for one in json.loads(again.out)] == [0, 0, 0]
    assert again.lines == ["nothing to remove"]
