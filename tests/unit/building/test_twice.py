"""Images that are not reproducible: the error names the first difference between two builds."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dfgen.commands.building.twice import first_difference
from dfgen.engine.request import BuildRequest, OnStep
from dfgen.errors import CheckError
from dfgen.oci.manifest import OCI_MANIFEST, Descriptor
from tests.fakes.engine import ScriptedEngine
from tests.unit.models import AMD64
from tests.unit.world import World, states

Files = Mapping[str, tuple[str, Mapping[str, Any]]]
HISTORY = [{"created_by": "ENV A=1", "empty_layer": True}, {"created_by": "RUN date   > /now # buildkit"}]


def layer(files: Files, *, compressed: bool = True) -> bytes:
    """Pack files, each with its content and attributes of its entry; without the time in the gzip header."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as packed:
        for name, (content, more) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            for key, value in more.items():
                setattr(entry, key, value)
            packed.addfile(entry, io.BytesIO(content.encode()))
    return gzip.compress(data.getvalue(), mtime=0) if compressed else data.getvalue()


def difference(tmp_path: Path, one: bytes, other: bytes) -> str:
    paths = tmp_path / "one", tmp_path / "other"
    for path, data in zip(paths, (one, other), strict=True):
        path.write_bytes(data)
    return first_difference(*paths)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"a": ("1", {})}, {"a": ("2", {})}, "/a: content differs"),
        ({"a": ("1", {})}, {"a": ("12", {})}, "/a: size differs, 1 and 2"),
        ({"a": ("1", {"mtime": 5})}, {"a": ("1", {"mtime": 6})}, "/a: mtime differs, 5 and 6"),
        ({"a": ("1", {"uid": 0})}, {"a": ("1", {"uid": 7})}, "/a: owner differs, 0 and 7"),
        ({"a": ("", {}), "b": ("", {})}, {"a": ("", {})}, "/b: only in one build"),
        ({"a": ("", {})}, {"a": ("", {}), "b": ("", {})}, "/b: only in one build"),
        (
            {"a": ("", {}), "b": ("", {})},
            {"b": ("", {}), "a": ("", {})},
            "/a: only in one build, or at another position in the layer",
        ),
    ],
)
def test_the_first_file_that_differs_is_named(
    tmp_path: Path, one: Files, other: Files, expected: str
) -> None:
    assert difference(tmp_path, layer(one), layer(other)) == expected


def test_equal_files_can_be_packed_differently(tmp_path: Path) -> None:
    files: Files = {"a": ("1", {})}
    assert (
        difference(tmp_path, layer(files), layer(files, compressed=False))
        == "same files, but packed or compressed differently"
    )


def test_a_layer_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckError) as caught:
        difference(tmp_path, b"no layer", layer({}))
    assert str(caught.value).startswith(f"{tmp_path / 'one'}: the layer cannot be read: ")


@dataclass
class Unsteady(ScriptedEngine):
    """Builds an image whose parts depend on how often it was built."""

    part: Callable[[int], dict[str, Any]] = lambda _: {}
    asked: list[BuildRequest] = field(default_factory=list)

    def build(self, request: BuildRequest, on_step: OnStep) -> tuple[Descriptor, ...]:
        self.asked.append(request)
        request.log.parent.mkdir(parents=True, exist_ok=True)
        request.log.write_text("#1 DONE\n")
        on_step("[1/1] RUN date")
        parts = {
            "layers": [{"now": ("1", {})}],
            "config": {},
            "annotations": {},
            **self.part(len(self.asked)),
        }
        packed = [layer(files) for files in parts["layers"]]
        configuration = json.dumps({**AMD64.to_json(), "history": HISTORY, **parts["config"]}).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": Descriptor.of(configuration, "application/json").to_json(),
            "layers": [Descriptor.of(data, "application/gzip").to_json() for data in packed],
            "annotations": parts["annotations"],
        }
        raw = json.dumps(manifest).encode()
        for data in (*packed, configuration, raw):
            self.layout.add(data)
        return (Descriptor.of(raw, OCI_MANIFEST, AMD64),)


def built(tmp_path: Path, part: Callable[[int], dict[str, Any]]) -> tuple[str, list[BuildRequest]]:
    world = World.of(tmp_path, {"a": []}, [AMD64])
    unsteady = Unsteady(world.layout, part=part)
    run = world.build(engine=unsteady, twice=True)
    assert states(run) == {"a:1@amd64": "failed" if run.results[0].error else "built"}
    return str(run.results[0].error or ""), unsteady.asked


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            lambda at: {"layers": [{"now": (str(at), {})}]},
            "layer 1 of 1 (RUN date > /now): /now: content differs",
        ),
        (
            lambda at: {
                "layers": [{"now": (str(at), {})}],
                "config": {"history": [{"created_by": "mount / from exec /bin/sh -c date"}]},
            },
            "layer 1 of 1 (/bin/sh -c date): /now: content differs",
        ),
        (lambda at: {"layers": [{"a": ("", {})}] * at}, "the number of layers differs, 1 and 2"),
        (lambda at: {"config": {"created": at}}, "the configuration differs in created"),
        (lambda at: {"annotations": {"at": str(at)}}, "the annotations differ"),
    ],
)
def test_the_error_names_the_first_difference(
    tmp_path: Path, part: Callable[[int], dict[str, Any]], expected: str
) -> None:
    error, _ = built(tmp_path, part)
    assert error == f"bases/a/1/Dockerfile_amd64: not reproducible: {expected}"


def test_a_reproducible_image_is_built_with_and_without_cache(tmp_path: Path) -> None:
    error, requests = built(tmp_path, lambda _: {})
    assert error == ""
    assert [request.no_cache for request in requests] == [False, True]
    assert [request.log.name for request in requests] == ["a-1-amd64.log", "a-1-amd64-again.log"]
