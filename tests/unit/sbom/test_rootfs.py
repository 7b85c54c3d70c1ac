"""Files of package managers, read from layers with whiteouts."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from dfgen.errors import CheckError
from dfgen.sbom.rootfs import LARGEST, package_files
from tests.unit.sbom.layers import layer

STATUS, PART = "var/lib/dpkg/status", "var/lib/dpkg/status.d/tzdata"


def found(*layers: Path, limit: int = LARGEST) -> dict[str, str]:
    return {path: data.decode() for path, data in package_files(layers, limit).items()}


def test_the_highest_layer_wins_and_other_files_are_ignored(tmp_path: Path) -> None:
    lower = layer(tmp_path, (STATUS, "old"), ("etc/passwd", "root"), ("./etc/os-release", "ID=a"))
    upper = layer(tmp_path, (f"/{STATUS}", "new"), (PART, "part"))
    assert found(lower, upper) == {STATUS: "new", "etc/os-release": "ID=a", PART: "part"}


@pytest.mark.parametrize(
    "whiteout",
    [
        "var/lib/dpkg/.wh.status",
        "var/lib/.wh.dpkg",
        ".wh.var",
        "var/lib/dpkg/.wh..wh..opq",
        "var/.wh..wh..opq",
        ".wh..wh..opq",
    ],
)
def test_a_whiteout_of_a_higher_layer_deletes_the_file(tmp_path: Path, whiteout: str) -> None:
    assert found(layer(tmp_path, (STATUS, "old")), layer(tmp_path, (whiteout, ""))) == {}


def test_a_whiteout_only_affects_lower_layers(tmp_path: Path) -> None:
    lower = layer(tmp_path, (STATUS, "old"), (PART, "old"))
    middle = layer(tmp_path, (STATUS, "mine"), ("var/lib/dpkg/.wh..wh..opq", ""))
    upper = layer(tmp_path, (PART, "new"))
    assert found(lower, middle, upper) == {STATUS: "mine", PART: "new"}


def test_a_whiteout_of_one_file_keeps_other_files(tmp_path: Path) -> None:
    lower = layer(tmp_path, (STATUS, "old"), (PART, "part"))
    upper = layer(tmp_path, ("var/lib/dpkg/status.d/.wh.tzdata", ""), ("var/lib/.wh.dpkg2", ""))
    assert found(lower, upper) == {STATUS: "old"}


def test_a_folder_in_a_higher_layer_keeps_its_files(tmp_path: Path) -> None:
    upper = layer(tmp_path, ("var/lib/dpkg", None), ("var/lib/dpkg/status.d", None))
    assert found(layer(tmp_path, (STATUS, "old"), (PART, "part")), upper) == {STATUS: "old", PART: "part"}


def test_a_symbolic_link_replaces_a_file_or_folder(tmp_path: Path) -> None:
    lower = layer(tmp_path, (STATUS, "old"), ("etc/os-release", "ID=old"))
    links = {"var/lib/dpkg": "../elsewhere", "etc/os-release": "../usr/lib/os-release"}
    assert found(lower, layer(tmp_path, ("usr/lib/os-release", "ID=b"), links=links)) == {
        "usr/lib/os-release": "ID=b"
    }


def test_a_database_in_an_unsupported_format_is_returned_empty(tmp_path: Path) -> None:
    assert found(layer(tmp_path, ("./var/lib/rpm/Packages", "much"))) == {"var/lib/rpm/Packages": ""}


def test_a_hard_link_is_refused(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo(STATUS)
        entry.type, entry.linkname = tarfile.LNKTYPE, "x"
        tar.addfile(entry)
    path = tmp_path / "layer"
    path.write_bytes(packed.getvalue())
    with pytest.raises(CheckError) as caught:
        found(path)
    assert str(caught.value) == f"/{STATUS}: is a hard link in its layer, expected a regular file"


def test_databases_have_a_size_limit(tmp_path: Path) -> None:
    assert found(layer(tmp_path, (STATUS, "123"), (PART, "45")), limit=5) == {STATUS: "123", PART: "45"}
    with pytest.raises(CheckError) as caught:
        found(layer(tmp_path, (STATUS, "123"), (PART, "456")), limit=5)
    assert str(caught.value) == f"/{PART}: the package databases of one layer exceed 5 bytes"


def test_an_error_names_the_unreadable_layer(tmp_path: Path) -> None:
    path = tmp_path / "layer"
    path.write_bytes(b"\x28\xb5\x2f\xfd zstd")
    with pytest.raises(CheckError) as caught:
        found(path)
    assert str(caught.value) == (
        f"{path}: the layer cannot be read: Compressed file ended before the end-of-stream marker was reached;"
        " expected a tar file, uncompressed or compressed with gzip or zstd"
    )
