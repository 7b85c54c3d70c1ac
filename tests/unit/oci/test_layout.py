"""The layout: entries, blobs, attestations, and errors of a damaged layout."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.errors import CheckError, ExitCode, ExternalError, InputError
from dfgen.oci.archive import index_bytes
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import INPUTS, OCI_INDEX, REF_NAME, Descriptor, Manifest
from tests.fakes.images import AMD64, ARM64, attestation, export, image, index_of

NAME = "java-base:1.0-x86_64"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "dist")


def test_a_missing_folder_is_empty_and_reading_does_not_create_it(layout: Layout) -> None:
    assert layout.entries() == {}
    assert layout.unreferenced() == ()
    assert layout.collect() == 0
    assert not layout.root.exists()


def test_the_files_follow_the_specification(layout: Layout) -> None:
    entry = image().put_into(layout)
    layout.tag({NAME: entry})
    assert json.loads((layout.root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((layout.root / "index.json").read_text())
    assert index["schemaVersion"] == 2
    assert index["mediaType"] == OCI_INDEX
    assert index["manifests"] == [
        {
            "mediaType": entry.media_type,
            "digest": str(entry.digest),
            "size": entry.size,
            "annotations": {REF_NAME: NAME},
            "platform": {"architecture": "amd64", "os": "linux"},
        }
    ]
    blobs = sorted(path.name for path in (layout.root / "blobs" / "sha256").iterdir())
    assert blobs == sorted(Digest.of(data).hex for data in (image().raw, *image().blobs.values()))


def test_entries_keep_their_annotations(layout: Layout) -> None:
    made = image(annotations={INPUTS: "abc"})
    entry = made.put_into(layout)
    layout.tag({NAME: Descriptor.of(made.raw, made.media_type, AMD64)})
    layout.tag({"b:1": Descriptor(**{**_fields(entry), "annotations": {INPUTS: "abc"}})})
    assert layout.entries()["b:1"].annotations == {INPUTS: "abc", REF_NAME: "b:1"}
    assert list(layout.entries()) == ["b:1", NAME]


def _fields(entry: Descriptor) -> dict[str, object]:
    return {name: getattr(entry, name) for name in ("media_type", "digest", "size", "platform")}


def test_names_can_be_moved_and_removed(layout: Layout) -> None:
    first, second = image(layers=[b"1"]).put_into(layout), image(layers=[b"2"]).put_into(layout)
    layout.tag({NAME: first, "other:1": first})
    layout.tag({NAME: second})
    assert {name: entry.digest for name, entry in layout.entries().items()} == {
        NAME: second.digest,
        "other:1": first.digest,
    }
    layout.tag({NAME: None})
    assert list(layout.entries()) == ["other:1"]


def test_setting_the_same_names_again_does_not_rewrite_the_index(layout: Layout) -> None:
    entry = image().put_into(layout)
    layout.tag({NAME: entry})
    before = (layout.root / "index.json").stat().st_ino
    layout.tag({NAME: entry})
    assert (layout.root / "index.json").stat().st_ino == before


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"{}")])
def test_a_missing_or_wrong_version_file_is_rewritten(
    layout: Layout, damage: Callable[[Path], object]
) -> None:
    version = layout.root / "oci-layout"
    layout.tag({"a:1": image(AMD64).put_into(layout)})
    before = version.stat()
    layout.tag({"a:2": image(ARM64).put_into(layout)})
    assert version.stat() == before
    damage(version)
    layout.tag({"a:3": image(ARM64).put_into(layout)})
    assert json.loads(version.read_text()) == {"imageLayoutVersion": "1.0.0"}


def test_manifests_and_blobs_are_read(layout: Layout) -> None:
    made = image(ARM64)
    entry = made.put_into(layout)
    manifest = layout.manifest(entry)
    assert isinstance(manifest, Manifest)
    assert manifest.raw == made.raw
    assert [layout.read(blob) for blob in manifest.blobs] == list(made.blobs.values())


def test_missing_truncated_and_modified_blobs_have_different_errors(layout: Layout) -> None:
    entry = image().put_into(layout)
    path = layout.blob_path(entry.digest)
    path.write_bytes(b"x" * entry.size)
    with pytest.raises(CheckError) as caught:
        layout.read(entry)
    assert str(caught.value) == (f"{path}: does not match its digest; run `dfgen build` to rebuild it")
    path.write_bytes(b"x")
    with pytest.raises(CheckError) as caught:
        layout.manifest(entry)
    assert str(caught.value) == (
        f"{path}: has 1 bytes, expected {entry.size}; run `dfgen build` to rebuild it"
    )
    path.unlink()
    with pytest.raises(CheckError) as caught:
        layout.read(entry)
    assert str(caught.value) == f"{path}: is missing; run `dfgen build` to rebuild it"


def test_an_error_names_the_path_of_a_blob_that_is_not_a_manifest(layout: Layout) -> None:
    digest = layout.add(b"text")
    entry = Descriptor(media_type=OCI_INDEX, digest=digest, size=4)
    with pytest.raises(CheckError) as caught:
        layout.manifest(entry)
    assert str(caught.value).startswith(f"{layout.blob_path(digest)}: not an image manifest or index: ")


@pytest.mark.parametrize("position", [0, 1, 2])
def test_an_image_is_intact_only_with_every_blob(layout: Layout, position: int) -> None:
    made = image(layers=[b"layer one", b"layer two"])
    entry = made.put_into(layout)
    assert layout.is_intact(entry)
    path = layout.blob_path(list(made.blobs)[position])
    intact = path.read_bytes()
    for damaged in (b"?" + intact[1:], b"?", None):
        if damaged is None:
            path.unlink()
        else:
            path.write_bytes(damaged)
        assert not layout.is_intact(entry)
    path.write_bytes(intact)
    assert layout.is_intact(entry)


def test_an_unmodified_blob_is_not_hashed_again(layout: Layout) -> None:
    made = image()
    entry = made.put_into(layout)
    path = layout.blob_path(made.manifest.layers[0].digest)
    path.touch()
    assert layout.is_intact(entry)  # hashed, and marked as verified
    verified = path.stat()
    path.write_bytes(b"?" * verified.st_size)
    os.utime(path, ns=(verified.st_atime_ns, verified.st_mtime_ns))
    assert layout.is_intact(entry)
    assert not layout.is_intact(entry, deep=True)


def test_an_index_is_intact_only_with_its_children(layout: Layout) -> None:
    arm = image(ARM64, [b"arm"])
    raw = index_of([image().put_into(layout), arm.put_into(layout)])
    layout.add(raw)
    entry = Descriptor.of(raw, OCI_INDEX)
    assert layout.is_intact(entry, deep=True)
    layout.blob_path(arm.manifest.layers[0].digest).unlink()
    assert not layout.is_intact(entry)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not an image manifest or index: Expecting value: line 1 column 1 (char 0)"),
        ("[]", "not an image manifest or index: not an object"),
        ('{"schemaVersion":2}', "not an image manifest or index: media type 'unknown'"),
        (
            '{"schemaVersion":2,"manifests":[{}]}',
            "not an image manifest or index: a descriptor is missing its mediaType, digest or size",
        ),
        (image().raw.decode(), "expected an index, found an image manifest"),
    ],
)
def test_an_error_of_a_damaged_index_says_what_to_do(layout: Layout, text: str, why: str) -> None:
    layout.root.mkdir()
    path = layout.root / "index.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        layout.entries()
    advice = f"move {layout.root} away and run `dfgen build`"
    assert str(caught.value) == f"{path}: is damaged: {why}; {advice}"
    assert caught.value.exit_code == ExitCode.BAD_INPUT


def test_attestations_are_removed_with_the_last_name_of_their_image(layout: Layout) -> None:
    made = image()
    bound, proof = attestation(made)
    proof.put_into(layout)
    entry = made.put_into(layout)
    layout.tag({NAME: entry}, [bound])
    assert layout.attestations(entry.digest) == (bound,)
    assert list(layout.entries()) == [NAME]
    assert layout.unreferenced() == ()
    layout.tag({"second:1": entry})
    assert layout.attestations(entry.digest) == (bound,)
    layout.tag({NAME: None})
    assert layout.attestations(entry.digest) == (bound,)
    layout.tag({"second:1": None})
    assert layout.attestations(entry.digest) == ()


def test_new_attestations_replace_the_earlier_ones_of_an_image(layout: Layout) -> None:
    made = image()
    entry = made.put_into(layout)
    replacements = []
    for statement in (b"1", b"2"):
        bound, proof = attestation(made, statement)
        proof.put_into(layout)
        layout.tag({NAME: entry}, [bound])
        replacements.append(bound)
    assert layout.attestations(entry.digest) == (replacements[1],)
    layout.tag({NAME: entry}, [])
    assert layout.attestations(entry.digest) == ()


def test_an_error_names_an_unreadable_index(layout: Layout) -> None:
    path = layout.root / "index.json"
    path.mkdir(parents=True)
    with pytest.raises(ExternalError) as caught:
        layout.entries()
    assert str(caught.value) == f"{path}: cannot be read: Is a directory"


def test_an_error_names_an_unreadable_blob(layout: Layout) -> None:
    entry = image().put_into(layout)
    path = layout.blob_path(entry.digest)
    path.unlink()
    path.mkdir()
    with pytest.raises(ExternalError) as caught:
        layout.read(entry)
    assert str(caught.value) == f"{path}: cannot be read: Is a directory"


def test_a_failed_write_leaves_no_temporary_file(layout: Layout, tmp_path: Path) -> None:
    made = image()
    path = layout.blob_path(made.descriptor.digest)
    (path / "in the way").mkdir(parents=True)
    with pytest.raises(ExternalError, match="cannot be written: "):
        layout.add(made.raw)
    assert list((layout.root / ".partial").iterdir()) == []
    export(tmp_path / "out", (made.descriptor, made.raw), blobs=list(made.blobs.values()))
    with pytest.raises(ExternalError, match="cannot be written: "):
        layout.adopt(tmp_path / "out")


names = st.from_regex(r"[a-z]{1,6}:[0-9]\.[0-9]", fullmatch=True)


@given(st.dictionaries(names, st.binary(max_size=4), max_size=6), st.randoms())
def test_index_bytes_do_not_depend_on_the_order_of_entries(
    contents: dict[str, bytes], random: object
) -> None:
    entries = [
        Descriptor(**{**_fields(image(layers=[layer]).descriptor), "annotations": {REF_NAME: name}})
        for name, layer in contents.items()
    ]
    shuffled = list(entries)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert index_bytes(shuffled) == index_bytes(entries)
    read = json.loads(index_bytes(entries))["manifests"]
    assert [entry["annotations"][REF_NAME] for entry in read] == sorted(contents)
