"""What a word names: a reference, a layout or an archive, and what is told where it is none of them."""

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
from tests.unit.inspect.images import AMD, ARM, BOUND, layout_at, look, put, tar


def test_a_folder_gives_all_that_it_holds(tmp_path: Path) -> None:
    layout_at(tmp_path)
    assert [(one.name, len(one.images)) for one in look("dist", tmp_path)] == [
        ("dist:java-base:1.0", 2),
        ("dist:java-base:1.0-x86_64", 1),
    ]


def test_images_of_other_tools_may_have_no_name(tmp_path: Path) -> None:
    layout = layout_at(tmp_path)
    raw = index_of([ARM.descriptor, BOUND])
    (layout.root / "index.json").write_bytes(raw)
    (found,) = look("dist", tmp_path)
    assert found.name == f"dist:{ARM.descriptor.digest.short}"


def legacy(made: FakeImage, layers: list[bytes], names: list[str] | None) -> dict[str, bytes]:
    """The form that engines wrote before they knew OCI."""
    config = json.loads(made.blobs[made.manifest.config.digest])
    config["rootfs"]["diff_ids"] = [str(Digest.of(layer)) for layer in layers]
    paths = [f"{number}/layer.tar" for number in range(len(layers))]
    entry: dict[str, Any] = {"Config": "config.json", "RepoTags": names, "Layers": paths}
    files = dict(zip(paths, layers, strict=True))
    return {"manifest.json": as_json([entry]), "config.json": as_json(config), **files}


def test_an_archive_of_an_older_engine(tmp_path: Path) -> None:
    tar(tmp_path / "old.tar", legacy(AMD, [b"one", b"three"], ["java:1", "java:2"]))
    found = look("old.tar", tmp_path)
    assert [one.name for one in found] == ["old.tar:java:1", "old.tar:java:2"]
    assert [layer.size for layer in found[0].images[0].layers] == [3, 5]
    assert found[0].images[0].platform == AMD64
    tar(tmp_path / "old.tar", legacy(AMD, [b"one"], None))
    assert len(look("old.tar", tmp_path)) == 1


def test_an_archive_may_lack_platforms_that_its_index_names(tmp_path: Path) -> None:
    layout = layout_at(tmp_path)
    data = b"".join(layout.archive(layout.entries()["java-base:1.0"], "x:1"))
    with tarfile.open(fileobj=io.BytesIO(data)) as full:
        members = {member.name: full.extractfile(member).read() for member in full}  # type: ignore[union-attr]
    del members[f"blobs/sha256/{ARM.descriptor.digest.hex}"]
    tar(tmp_path / "part.tar", members)
    (found,) = look("part.tar", tmp_path)
    assert [(image.listed, image.here) for image in found.images] == [(AMD64, True), (ARM64, False)]


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
def test_what_is_not_an_archive_of_images(tmp_path: Path, write: Callable[[Path], object], why: str) -> None:
    path = tmp_path / "some.tar"
    write(path)
    with pytest.raises(InputError) as caught:
        look("some.tar", tmp_path)
    assert str(caught.value).startswith(f"{path}: is not an image archive: ")
    assert why in str(caught.value)
    assert str(caught.value).endswith(f"; {EXPECTED}")


def test_names_that_are_not_there(tmp_path: Path) -> None:
    layout_at(tmp_path)
    with pytest.raises(InputError) as caught:
        look("dist:java-bas:1.0", tmp_path)
    assert str(caught.value) == "dist: holds no 'java-bas:1.0' (did you mean 'java-base:1.0'?)"
    with pytest.raises(InputError) as caught:
        look("dist:x", tmp_path)
    assert str(caught.value) == "dist: holds no 'x'; it has java-base:1.0, java-base:1.0-x86_64"


def test_a_folder_that_is_no_layout(tmp_path: Path) -> None:
    (tmp_path / "Folder").mkdir()
    with pytest.raises(InputError) as caught:
        look("Folder", tmp_path)
    assert str(caught.value) == "Folder: is not an OCI layout; expected a folder with an index.json"
    with pytest.raises(InputError, match="is not an image reference"):
        look("No/Such", tmp_path)


def test_a_folder_named_as_an_image_does_not_hide_it(fake: FakeRegistry, tmp_path: Path) -> None:
    reference = put(fake)
    (tmp_path / fake.address.partition(":")[0]).mkdir()
    assert len(look(reference, tmp_path)) == 1
