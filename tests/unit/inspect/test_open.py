"""Open images: references, layouts and archives, and the errors for anything else."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfgen.errors import InputError
from dfgen.oci.digest import Digest
from tests.fakes.images import AMD64, ARM64, FakeImage, as_json, index_of
from tests.fakes.registry import FakeRegistry
from tests.unit.inspect.images import AMD, ARM, BOUND, inspect_all, layout_at, put, tar


def test_a_layout_gives_all_its_images(tmp_path: Path) -> None:
    layout_at(tmp_path)
    assert [(one.name, len(one.images)) for one in inspect_all("dist", tmp_path)] == [
        ("dist:java-base:1.0", 2),
        ("dist:java-base:1.0-x86_64", 1),
    ]


def test_unnamed_images_get_their_short_digest(tmp_path: Path) -> None:
    layout = layout_at(tmp_path)
    raw = index_of([ARM.descriptor, BOUND])
    (layout.root / "index.json").write_bytes(raw)
    (found,) = inspect_all("dist", tmp_path)
    assert found.name == f"dist:{ARM.descriptor.digest.short}"


def legacy(made: FakeImage, layers: list[bytes], names: list[str] | None) -> dict[str, bytes]:
    """Return the files of an archive in the format that older engines wrote, before OCI."""
    config = json.loads(made.blobs[made.manifest.config.digest])
    config["rootfs"]["diff_ids"] = [str(Digest.of(layer)) for layer in layers]
    paths = [f"{number}/layer.tar" for number in range(len(layers))]
    entry: dict[str, Any] = {"Config": "config.json", "RepoTags": names, "Layers": paths}
    files = dict(zip(paths, layers, strict=True))
    return {"manifest.json": as_json([entry]), "config.json": as_json(config), **files}


def test_an_archive_of_an_older_engine(tmp_path: Path) -> None:
    tar(tmp_path / "old.tar", legacy(AMD, [b"one", b"three"], ["java:1", "java:2"]))
    found = inspect_all("old.tar", tmp_path)
    assert [one.name for one in found] == ["old.tar:java:1", "old.tar:java:2"]
    assert [layer.size for layer in found[0].images[0].layers] == [3, 5]
    assert found[0].images[0].platform == AMD64
    tar(tmp_path / "old.tar", legacy(AMD, [b"one"], None))
    assert len(inspect_all("old.tar", tmp_path)) == 1


def test_an_archive_without_some_platforms_of_its_index(tmp_path: Path) -> None:
    layout = layout_at(tmp_path)
    data = b"".join(layout.archive(layout.entries()["java-base:1.0"], "x:1"))
    with tarfile.open(fileobj=io.BytesIO(data)) as full:
        members = {member.name: full.extractfile(member).read() for member in full}  # type: ignore[union-attr]
    del members[f"blobs/sha256/{ARM.descriptor.digest.hex}"]
    tar(tmp_path / "part.tar", members)
    (found,) = inspect_all("part.tar", tmp_path)
    assert [(image.listed, image.is_present) for image in found.images] == [(AMD64, True), (ARM64, False)]


EXPECTED = "expected an OCI archive or the output of `docker save`"


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (lambda path: path.write_text("text"), "file could not be opened successfully"),
        (lambda path: tar(path, {"a": b""}), "it has neither index.json nor manifest.json"),
        (lambda path: tar(path, {"index.json": b"{"}), "not an image manifest or index: "),
        (lambda path: tar(path, {"manifest.json": b"[{}]"}), "'Config'"),
        (
            lambda path: tar(path, {"manifest.json": b'[{"Config":"x"}]'}),
            "x is missing",
        ),
    ],
)
def test_a_file_that_is_not_an_image_archive(
    tmp_path: Path, write: Callable[[Path], object], why: str
) -> None:
    path = tmp_path / "some.tar"
    write(path)
    with pytest.raises(InputError) as caught:
        inspect_all("some.tar", tmp_path)
    assert str(caught.value).startswith(f"{path}: is not an image archive: ")
    assert why in str(caught.value)
    assert str(caught.value).endswith(f"; {EXPECTED}")


def test_unknown_names(tmp_path: Path) -> None:
    layout_at(tmp_path)
    with pytest.raises(InputError) as caught:
        inspect_all("dist:java-bas:1.0", tmp_path)
    assert str(caught.value) == "dist: 'java-bas:1.0' not found (did you mean 'java-base:1.0'?)"
    with pytest.raises(InputError) as caught:
        inspect_all("dist:x", tmp_path)
    assert str(caught.value) == "dist: 'x' not found; it has java-base:1.0, java-base:1.0-x86_64"


def test_a_folder_that_is_not_a_layout(tmp_path: Path) -> None:
    (tmp_path / "Folder").mkdir()
    with pytest.raises(InputError) as caught:
        inspect_all("Folder", tmp_path)
    assert str(caught.value) == "Folder: is not an OCI layout; expected a folder with an index.json"
    with pytest.raises(InputError, match="is not an image reference"):
        inspect_all("No/Such", tmp_path)


def test_a_folder_with_the_name_of_a_registry_does_not_hide_it(fake: FakeRegistry, tmp_path: Path) -> None:
    reference = put(fake)
    (tmp_path / fake.address.partition(":")[0]).mkdir()
    assert len(inspect_all(reference, tmp_path)) == 1
