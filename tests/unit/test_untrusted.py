"""Untrusted JSON, and untrusted values in messages."""

from __future__ import annotations

import pytest

from dfgen.untrusted import brief, read_json


@pytest.mark.parametrize("raw", [b"[" * 10_000, '{"a":' * 10_000])
def test_deeply_nested_json_is_rejected(raw: bytes | str) -> None:
    with pytest.raises(ValueError, match=r"^nested too deeply$"):
        read_json(raw)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"a":"b"}', {"a": "b"}),
        (b'"\\u00e9 \\ud83d\\ude00"', "é 😀"),
        (b'"a\\ud800b"', "a?b"),
        ('{"\\udc00":1}', {"?": 1}),
        (b'"\xed\xa0\x80"', "?"),
    ],
)
def test_lone_surrogates_are_replaced(raw: bytes | str, expected: object) -> None:
    assert read_json(raw) == expected


def test_bytes_that_are_not_utf_8_are_rejected() -> None:
    with pytest.raises(ValueError, match="codec can't decode"):
        read_json(b"\xff\xfe\xfd")


def test_brief_is_one_short_line() -> None:
    assert brief("a\nb") == "'a\\nb'"
    assert brief([1] * 100) == str([1] * 100)[:79] + "…"
