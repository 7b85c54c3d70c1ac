"""Images that were published with the same inputs are downloaded; a registry failure only costs a build."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dfgen.catalog.model import Image
from dfgen.commands.building.published import Published
from dfgen.commands.building.run import Progressed
from dfgen.errors import CheckError, ExternalError
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Descriptor, Index, Manifest
from dfgen.oci.reference import Reference, Repository
from tests.fakes.layers import elf, tar
from tests.unit.models import AMD64, a_test
from tests.unit.world import World, states


@dataclass
class Shelf:
    """A registry that serves the layout of another machine, and records the requests."""

    layout: Layout
    failure: Callable[[], Exception] | None = None
    asked: list[str] = field(default_factory=list)

    def current(self, reference: Reference) -> Manifest | Index | None:
        self.asked.append(str(reference))
        if self.failure:
            raise self.failure()
        entry = self.layout.entries().get(f"{reference.repository.path}:{reference.tag}")
        return self.layout.manifest(entry) if entry else None

    def manifest(self, reference: Reference) -> Manifest | Index:
        assert reference.digest
        path = self.layout.blob_path(reference.digest)
        entry = next(one for one in self.layout.descriptors() if one.digest == reference.digest)
        assert path.exists()
        return self.layout.manifest(entry)

    def blob(self, repository: Repository, descriptor: Descriptor) -> bytes:
        assert repository
        return self.layout.read(descriptor)

    def download(self, repository: Repository, descriptor: Descriptor, target: Path) -> None:
        assert repository
        self.asked.append(f"blob {descriptor.digest}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self.layout.read(descriptor))


def references_of(image: Image) -> list[Reference]:
    return [Reference.parse(f"localhost/{image.family.name}:{image.tag}")]


def two(tmp_path: Path, graph: dict[str, list[str]]) -> tuple[World, World, Shelf]:
    """A machine that has built a catalog, another that has not, and a registry with the first one's images."""
    first, second = (World.of(tmp_path / name, graph, [AMD64]) for name in ("first", "second"))
    first.builder.marks = True
    first.build()
    return first, second, Shelf(first.layout)


def took(world: World, shelf: Shelf) -> Published:
    return Published(shelf, world.layout, references_of)


def test_an_image_with_the_same_inputs_is_downloaded_with_its_digest(tmp_path: Path) -> None:
    first, second, shelf = two(tmp_path, {"a": [], "b": ["a"]})
    run = second.build(published=took(second, shelf))
    assert states(run) == {"a:1@amd64": "taken", "b:1@amd64": "taken"}
    assert second.builder.built == []
    assert second.layout.entries() == first.layout.entries()
    assert all(second.layout.is_intact(entry, deep=True) for entry in second.layout.entries().values())
    assert second.reasons() == {"a:1@amd64": "up to date", "b:1@amd64": "up to date"}


def test_an_image_with_other_inputs_is_built(tmp_path: Path) -> None:
    _, second, shelf = two(tmp_path, {"a": []})
    (second.root / "bases" / "a" / "1" / "Dockerfile_amd64").write_text("FROM scratch\n")
    run = second.build(published=took(second, shelf))
    assert states(run) == {"a:1@amd64": "built"}
    assert shelf.asked == ["localhost/a:1-x86_64"]


def test_a_downloaded_image_is_tested(tmp_path: Path) -> None:
    _, second, shelf = two(tmp_path, {"a": []})
    second.change("a:1@amd64", tests=(a_test(),))
    second.build(published=took(second, shelf))
    assert second.builder.tested == ["a:1@amd64"]


def test_a_corrupt_image_is_reported_and_built_instead(tmp_path: Path) -> None:
    _, second, shelf = two(tmp_path, {"a": []})
    shelf.failure = lambda: CheckError("localhost/a:1-x86_64: corrupt")
    run = second.build(published=took(second, shelf))
    assert states(run) == {"a:1@amd64": "built"}
    steps = [event.doing for event in second.events if isinstance(event, Progressed)]
    assert steps[0] == "cannot reuse an image from localhost/a: localhost/a:1-x86_64: corrupt"


def test_an_unreachable_registry_is_requested_once(tmp_path: Path) -> None:
    _, second, shelf = two(tmp_path, {"a": [], "b": [], "c": []})

    def silent() -> Exception:
        error = ExternalError("localhost: unreachable")
        error.unreachable = "localhost"
        return error

    shelf.failure = silent
    run = second.build(jobs=1, published=took(second, shelf))
    assert set(states(run).values()) == {"built"}
    assert len(shelf.asked) == 1


def test_no_cache_downloads_nothing(tmp_path: Path) -> None:
    _, second, shelf = two(tmp_path, {"a": []})
    run = second.build(published=took(second, shelf), no_cache=True)
    assert states(run) == {"a:1@amd64": "built"}
    assert shelf.asked == []


def test_existing_blobs_are_not_downloaded(tmp_path: Path) -> None:
    first, second, shelf = two(tmp_path, {"a": []})
    manifest = first.layout.manifest(first.layout.entries()["a:1-x86_64"])
    assert isinstance(manifest, Manifest)
    for layer in manifest.layers:
        assert second.layout.add(first.layout.read(layer)) == layer.digest
    second.build(published=took(second, shelf))
    assert shelf.asked == ["localhost/a:1-x86_64"]


def test_programs_of_what_is_taken_are_checked(tmp_path: Path) -> None:
    first, second = (World.of(tmp_path / name, {"a": []}, [AMD64]) for name in ("first", "second"))
    first.builder.marks = True
    first.change("a:1@amd64", foreign_programs={"/opt/tool": "allowed there"})
    first.builder.layers["a:1@amd64"] = [tar({"opt/tool": elf("riscv64")})]
    first.build()
    run = second.build(published=took(second, Shelf(first.layout)))
    assert [str(result.error) for result in run.results] == [
        "a:1@amd64: /opt/tool is for riscv64, the image for linux/amd64; use the right file for each platform, or"
        " list the path with a reason under `foreign_programs` in bases/a/base.yaml"
    ]
    assert second.builder.built == []
    assert second.layout.entries() == {}
