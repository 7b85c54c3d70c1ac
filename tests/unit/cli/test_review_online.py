"""`dfgen review --online` with a fake registry: changes inside parents, and the number of requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from dfgen.catalog.lockfile import LOCK_FILE, Lock, LockedParent, Pin
from dfgen.commands.review.online import ParentQueries
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import OCI_INDEX, OCI_MANIFEST
from dfgen.oci.reference import Reference
from dfgen.registry import Clock, NoCredentials, Registry, RegistryOptions
from tests.fakes.images import AMD64, ARM64, FakeImage, as_json, image, index_of
from tests.fakes.registry import FakeRegistry
from tests.unit.catalogs import write
from tests.unit.cli.run import Done, dfgen

OLD = {
    "created": "2026-01-01T00:00:00Z",
    "config": {"Env": ["A=1", "B=x=y"], "Labels": {"version": "1"}},
}
NEW = {
    "created": "2026-01-03T00:00:00Z",
    "config": {"Env": ["A=2", "B=x=y"], "User": "app", "Entrypoint": ["run"], "Labels": {"version": "2"}},
}


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as running:
        yield running


class Moved:
    """A catalog whose parent moved, in two folders; the tag points to the new index."""

    def __init__(self, root: Path, registry: FakeRegistry) -> None:
        self.root, self.registry = root, registry
        self.key = f"{registry.address}/team/os:1"
        self.old = [image(AMD64, config=OLD), image(ARM64, config=OLD)]
        self.new = [image(AMD64, [b"a layer", b"more"], config=NEW), image(ARM64, config=OLD)]
        for made in (*self.old, *self.new):
            registry.add_image("team/os", made)
        registry.add_manifest("team/os", self.index(self.new), OCI_INDEX, tag="1")
        self.put("before", self.pins(self.old), self.index(self.old))
        self.put("after", self.pins(self.new), self.index(self.new))

    @staticmethod
    def index(images: list[FakeImage]) -> bytes:
        return index_of([one.descriptor for one in images])

    @staticmethod
    def pins(images: list[FakeImage]) -> dict[str, Digest]:
        return {str(one.platform): one.descriptor.digest for one in images}

    def put(self, side: str, pins: Mapping[str, Digest], index: bytes) -> None:
        platforms = {one: Pin(pins[str(one)]) for one in (AMD64, ARM64)}
        locked = LockedParent(
            digest=Digest.of(index), media_type=OCI_INDEX, first_seen="2026-01-01", platforms=platforms
        )
        base = f"template: t.j2\nparent: {self.key}\nversions: ['1']\n"
        files = {"bases/app/base.yaml": base, LOCK_FILE: Lock({self.key: locked}).to_text()}
        write(self.root / side, files)
        assert dfgen("-C", self.root / side, "render").status == 0

    def review(self, *words: str) -> Done:
        self.registry.forget()
        return dfgen("review", *words, self.root / "before", self.root / "after")


@pytest.fixture
def moved(tmp_path: Path, registry: FakeRegistry) -> Moved:
    return Moved(tmp_path, registry)


def _risks(done: Done) -> list[str]:
    return [line for line in done.out.splitlines() if line.startswith((LOCK_FILE, "bases/"))]


def test_no_request_without_the_option(moved: Moved) -> None:
    done = moved.review()
    assert (done.status, moved.registry.log()) == (0, [])
    assert done.out.splitlines()[-2:] == [
        "note: no registry was contacted, so changes inside the parents and the platforms of new pins are unknown; use --online",
        "note: no registry was contacted, so it is unknown whether the tags still point to their pins; use --online",
    ]


def test_changes_inside_a_parent_with_one_request_each(moved: Moved) -> None:
    done = moved.review("--online")
    was, now = (sum(map(len, one[0].blobs.values())) for one in (moved.old, moved.new))
    (line,) = [line for line in done.out.splitlines() if "linux/amd64 sha256:" in line]
    assert line.partition(": ")[2] == (
        f"size {was:,} → {now:,} bytes ({now - was:+,}); created 2026-01-01T00:00:00Z → 2026-01-03T00:00:00Z;"
        ' user none → app; entrypoint none → ["run"]; environment A 1 → 2; label version 1 → 2'
    )
    assert "note: " not in done.out
    counts = [moved.registry.count(*asked) for asked in (("HEAD", "/manifests/"), ("GET", "/manifests/"))]
    assert counts == [1, 3]


def test_tag_that_moved_on_is_a_warning(moved: Moved) -> None:
    later = moved.index([*moved.new[:1], *moved.old[1:], image(ARM64, [b"later"])])
    moved.registry.add_image("team/os", image(ARM64, [b"later"]))
    moved.registry.add_manifest("team/os", later, OCI_INDEX, tag="1")
    assert [line for line in _risks(moved.review("--online")) if "tag-mismatch" in line] == [
        f"{LOCK_FILE}:4: warning: {moved.key} now points to {Digest.of(later)}, but the lock has"
        f" {Digest.of(moved.index(moved.new))}; the tag moved, or the pin is wrong; run"
        f" `dfgen lock --upgrade {moved.key}` [tag-mismatch]"
    ]


def test_a_lock_with_the_digest_of_its_own_index_as_a_pin_is_an_error(moved: Moved) -> None:
    path = moved.root / "after" / LOCK_FILE
    pin = str(moved.pins(moved.new)["linux/amd64"])
    path.write_text(path.read_text().replace(pin, str(Digest.of(moved.index(moved.new)))))
    done = moved.review()
    assert (done.status, _risks(done)[0]) == (
        1,
        f"{LOCK_FILE}:4: error: parent '{moved.key}': the pin for linux/amd64 is the digest of the whole index;"
        " expected the digest of its linux/amd64 image; restore it from git, or remove this entry and run"
        " `dfgen lock` [broken]",
    )


def test_pin_of_an_index_and_of_another_platform(moved: Moved) -> None:
    index, other, wrong = moved.index(moved.new), moved.index(moved.new[:1]), image(AMD64, [b"wrong"])
    moved.registry.add_image("team/os", wrong)
    moved.registry.add_manifest("team/os", other, OCI_INDEX)
    pins = {"linux/amd64": Digest.of(other), "linux/arm64": wrong.descriptor.digest}
    moved.put("after", pins, index)
    done = moved.review("--online")
    assert done.status == 1
    advice = f"run `dfgen lock --upgrade {moved.key}`"
    assert [line for line in _risks(done) if ": error: " in line] == [
        f"{LOCK_FILE}:9: error: the pin of {moved.key} for linux/amd64 is an index digest; expected the digest"
        f" of the linux/amd64 image; {advice} [pin-index]",
        f"{LOCK_FILE}:10: error: the pin of {moved.key} for linux/arm64 is a linux/amd64 image; {advice}"
        " [pin-platform]",
    ]


def test_digest_that_is_not_an_image(moved: Moved) -> None:
    config = moved.registry.add_blob("team/os", b"{}", "application/vnd.cncf.helm.config.v1+json")
    layer = moved.registry.add_blob("team/os", b"x")
    entry = {"mediaType": layer.media_type, "digest": str(layer.digest), "size": layer.size}
    about = {"mediaType": config.media_type, "digest": str(config.digest), "size": config.size}
    raw = as_json({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": about, "layers": [entry]})
    chart = moved.registry.add_manifest("team/os", raw, OCI_MANIFEST)
    moved.put("after", {**moved.pins(moved.new), "linux/amd64": chart.digest}, moved.index(moved.new))
    done = moved.review("--online")
    assert "pin-" not in done.out
    assert "bytes (" not in done.out


def test_missing_digest_is_a_note(moved: Moved) -> None:
    del moved.registry.manifests["team/os"][str(moved.old[0].descriptor.digest)]
    done = moved.review("--online")
    assert done.status == 0
    (note,) = [line for line in done.out.splitlines() if line.startswith("note: ")]
    assert note.startswith("note: 1 registry request failed; the first: ")
    assert str(moved.old[0].descriptor.digest) in note


def test_unreachable_registry_is_requested_once() -> None:
    with FakeRegistry() as gone:
        address = gone.address
    tries: list[float] = []
    options, clock = RegistryOptions(deadline=2), Clock(sleep=tries.append)
    queries = ParentQueries(registry=Registry(options, None, NoCredentials(), clock), locks=(Lock(), Lock()))
    first, second = (Reference.parse(f"{address}/team/os:{tag}") for tag in "12")
    assert queries.resolve(first) is None
    tried = len(tries)
    assert (queries.resolve(second), queries.inspect(second, Digest.of(b"x"))) == (None, None)
    assert len(tries) == tried
    (note,) = queries.notes()
    assert note.startswith("3 registry requests failed; the first: ")
    assert queries.failures[1] == f"{second}: skipped, because its registry failed before"
