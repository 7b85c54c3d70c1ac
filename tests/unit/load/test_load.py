"""Which images are loaded into the engine, under which tags, and the errors of those that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.commands.load import load, plan
from dfgen.errors import CheckError
from dfgen.oci.manifest import Descriptor, Manifest
from tests.unit.catalogs import FAMILY, loaded
from tests.unit.cli.run import dfgen
from tests.unit.world import World


class Engine:
    """Records the images that were loaded."""

    def __init__(self) -> None:
        self.images: dict[str, Descriptor] = {}

    def load(self, image: Descriptor, name: str) -> None:
        self.images[name] = image


@pytest.fixture
def world(tmp_path: Path) -> World:
    found = World.of(tmp_path, {"a": [], "b": []})
    found.build()
    return found


def tags(world: World, *names: str, indexes: bool = True) -> list[str]:
    engine = Engine()
    found = plan(world.named(*names), world.catalog, world.layout, indexes=indexes)
    load(found, engine)
    assert list(engine.images) == [str(one.reference) for one in found]
    assert {one.digest for one in engine.images.values()} <= {
        one.digest for one in world.layout.entries().values()
    }
    return list(engine.images)


def refused(world: World, *names: str) -> list[str]:
    with pytest.raises(CheckError) as caught:
        plan(world.named(*names), world.catalog, world.layout, indexes=True)
    return str(caught.value).splitlines()


def test_one_architecture_is_loaded_under_its_own_tag(world: World) -> None:
    assert tags(world, "a:1@arm64") == ["localhost/a:1-aarch64"]


def test_a_version_with_all_architectures_is_loaded_under_its_merged_tag_too(world: World) -> None:
    each = ["localhost/a:1-x86_64", "localhost/a:1-aarch64"]
    both = ("a:1@amd64", "a:1@arm64")
    assert tags(world, *both) == [*each, "localhost/a:1"]
    assert tags(world, *both, "b:1@amd64") == [*each, "localhost/b:1-x86_64", "localhost/a:1"]
    assert tags(world, *both, indexes=False) == each


def test_a_merged_tag_with_other_images_is_not_loaded(world: World) -> None:
    entries = world.layout.entries()
    world.layout.tag({"a:1-x86_64": entries["b:1-x86_64"]})
    assert tags(world, "a:1@amd64", "a:1@arm64") == ["localhost/a:1-x86_64", "localhost/a:1-aarch64"]
    world.layout.tag({"a:1": entries["a:1-x86_64"]})
    assert tags(world, "a:1@amd64", "a:1@arm64") == ["localhost/a:1-x86_64", "localhost/a:1-aarch64"]


def test_the_command_that_runs_an_image_names_its_platform(world: World) -> None:
    found = plan(world.named("a:1@amd64", "a:1@arm64"), world.catalog, world.layout, indexes=True)
    assert [one.run for one in found] == [
        "docker run --rm -it --platform linux/amd64 localhost/a:1-x86_64",
        "docker run --rm -it --platform linux/arm64 localhost/a:1-aarch64",
        "docker run --rm -it localhost/a:1",
    ]


def test_missing_and_damaged_images_are_reported_together(world: World) -> None:
    manifest = world.layout.manifest(world.layout.entries()["a:1-x86_64"])
    assert isinstance(manifest, Manifest)
    world.layout.blob_path(manifest.layers[0].digest).unlink()
    world.layout.tag({"b:1-aarch64": None})
    assert refused(world) == [
        "a:1-x86_64: is incomplete or damaged in the layout; run `dfgen build a:1@amd64`",
        "b:1-aarch64: is not in the layout; run `dfgen build b:1@arm64`",
    ]


def test_a_missing_image_is_reported_without_an_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    loaded(tmp_path, f"{FAMILY}platforms: [amd64]\n")
    done = dfgen("-C", tmp_path, "load", "app")
    assert (done.status, done.lines) == (
        1,
        ["app:1.0-x86_64: is not in the layout; run `dfgen build app:1.0@amd64`"],
    )


def test_a_selection_is_required(tmp_path: Path) -> None:
    done = dfgen("-C", tmp_path, "load")
    assert (done.status, done.lines) == (
        2,
        ["dfgen load: Missing argument 'SELECT...'; see `dfgen load --help`"],
    )
