"""Records next to the images, and what happens if they are damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.commands.plan.inputs import Inputs
from dfgen.commands.plan.records import Records
from dfgen.errors import CheckError
from dfgen.oci.digest import Digest
from tests.unit.models import ARM64, image

INPUTS = Inputs(dockerfile=Digest.of(b"FROM x"), files={"a b": "file 644 sha256:1"}, options={"é": "1"})


def test_inputs_are_read_by_their_hash(tmp_path: Path) -> None:
    records = Records(tmp_path)
    assert records.inputs(INPUTS.digest) is None
    records.keep(INPUTS)
    records.keep(INPUTS)
    assert records.inputs(INPUTS.digest) == INPUTS
    assert [path.name for path in (tmp_path / "inputs").iterdir()] == [f"{INPUTS.digest.hex}.json"]


def test_the_order_of_files_and_options_does_not_count() -> None:
    files = {"b": "1", "a": "2"}
    one = Inputs(dockerfile=INPUTS.dockerfile, files=files, options={})
    other = Inputs(dockerfile=INPUTS.dockerfile, files=dict(reversed(files.items())), options={})
    assert one.digest == other.digest


def test_a_damaged_record_is_ignored(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.keep(INPUTS)
    (tmp_path / "inputs" / f"{INPUTS.digest.hex}.json").write_bytes(INPUTS.raw[:-1])
    assert records.inputs(INPUTS.digest) is None


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b'{"dockerfile": "x", "files": {}, "options": {}}'])
def test_malformed_records_of_inputs_are_rejected(raw: bytes) -> None:
    with pytest.raises(CheckError, match=r"^not a record of inputs: "):
        Inputs.parse(raw)


def test_logs_are_named_by_family_version_and_architecture(tmp_path: Path) -> None:
    records, one = Records(tmp_path), image("java-base:17", ARM64)
    assert records.log(one) == tmp_path / "logs" / "java-base-17-arm64.log"
    records.append_log(one, "a\n")
    records.append_log(one, "b\nc\n")
    assert records.log(one).read_text() == "a\nb\nc\n"


def test_the_record_of_a_run_is_read_as_written(tmp_path: Path) -> None:
    records = Records(tmp_path)
    assert (records.read_run(), records.past_seconds()) == ({}, {})
    records.write_run({"took": {"a:1@amd64": 2, "b:1@amd64": 1.5, "c": "x"}})
    assert records.past_seconds() == {"a:1@amd64": 2.0, "b:1@amd64": 1.5}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"took": []}'])
def test_a_damaged_record_of_a_run_is_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / "build.json").write_text(text)
    assert Records(tmp_path).past_seconds() == {}
