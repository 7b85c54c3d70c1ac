"""What the file system does not give, or takes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.commands.publish.ledger import Ledger
from dfgen.errors import OutsideError
from dfgen.oci.layout import Layout
from tests.fakes.images import export, image


def test_an_index_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "index.json").mkdir()
    with pytest.raises(OutsideError) as caught:
        Layout(tmp_path).entries()
    assert str(caught.value) == f"{tmp_path / 'index.json'}: cannot be read: Is a directory"


def test_a_blob_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    entry = image().put_into(layout)
    path = layout.blob_path(entry.digest)
    path.unlink()
    path.mkdir()
    with pytest.raises(OutsideError) as caught:
        layout.read(entry)
    assert str(caught.value) == f"{path}: cannot be read: Is a directory"


def test_a_ledger_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "published.json").mkdir()
    with pytest.raises(OutsideError) as caught:
        Ledger(tmp_path).seen()
    assert str(caught.value) == f"{tmp_path / 'published.json'}: cannot be read: Is a directory"


def test_a_blob_that_cannot_take_its_place_leaves_no_half_file(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "dist")
    made = image()
    path = layout.blob_path(made.descriptor.digest)
    (path / "in the way").mkdir(parents=True)
    with pytest.raises(OutsideError, match="cannot be written: "):
        layout.add(made.raw)
    assert list((layout.root / ".partial").iterdir()) == []
    export(tmp_path / "out", (made.descriptor, made.raw), blobs=list(made.blobs.values()))
    with pytest.raises(OutsideError, match="cannot be written: "):
        layout.adopt(tmp_path / "out")
