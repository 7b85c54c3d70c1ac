"""The ledger: the digest that dfgen last saw for each published tag."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dfgen.commands.publish.ledger import Ledger
from dfgen.errors import ExternalError, InputError
from dfgen.oci.digest import Digest

ONE, TWO = Digest.of(b"1"), Digest.of(b"2")


def test_a_ledger_starts_empty_and_keeps_recorded_tags(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "dist")
    assert ledger.seen() == {}
    ledger.record({"r/a:1": [ONE], "r/b:1": [ONE, TWO]})
    ledger.record({"r/b:1": [TWO]})
    assert Ledger(tmp_path / "dist").seen() == {"r/a:1": {ONE}, "r/b:1": {TWO}}


def test_the_file_is_canonical_and_only_rewritten_after_a_change(tmp_path: Path) -> None:
    first, second = Ledger(tmp_path / "1"), Ledger(tmp_path / "2")
    first.record({"r/b:1": [ONE, TWO], "r/a:1": [TWO]})
    second.record({"r/a:1": [TWO]})
    second.record({"r/b:1": [TWO, ONE]})
    paths = [tmp_path / name / "published.json" for name in ("1", "2")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    before = paths[0].stat().st_ino
    first.record({"r/a:1": [TWO]})
    assert paths[0].stat().st_ino == before


def test_concurrent_writers_lose_no_tag(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: Ledger(tmp_path).record({f"r/a:{number}": [ONE]}), range(16)))
    assert len(Ledger(tmp_path).seen()) == 16


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ('{"version": 2}', "version 2; this dfgen reads version 1"),
        ('{"version": 1, "tags": []}', "'list' object has no attribute 'items'"),
        (
            '{"version": 1, "tags": {"r/a:1": ["x"]}}',
            "'x' is not a digest; expected sha256: and 64 hexadecimal digits",
        ),
    ],
)
def test_an_error_of_a_damaged_file_says_what_to_do(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "published.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        Ledger(tmp_path).seen()
    fix = "delete it; if a tag is then refused, check it with `dfgen inspect` and use --force"
    assert str(caught.value) == f"{path}: is damaged: {why}; {fix}"


def test_an_error_names_an_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "published.json").mkdir()
    with pytest.raises(ExternalError) as caught:
        Ledger(tmp_path).seen()
    assert str(caught.value) == f"{tmp_path / 'published.json'}: cannot be read: Is a directory"
