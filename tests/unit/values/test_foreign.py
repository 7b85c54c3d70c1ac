"""JSON of strangers, and their words in messages."""

from __future__ import annotations

import pytest

from dfgen.untrusted import brief, read_json


@pytest.mark.parametrize("raw", [b"[" * 10_000, '{"a":' * 10_000])
def test_what_is_nested_too_deeply_is_not_json(raw: bytes | str) -> None:
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
def test_text_can_always_be_written_again(raw: bytes | str, expected: object) -> None:
    assert read_json(raw) == expected


def test_what_is_no_text_is_not_json() -> None:
    with pytest.raises(ValueError, match="codec can't decode"):
        read_json(b"\xff\xfe\xfd")


def test_a_value_in_a_message_is_one_short_line() -> None:
    assert brief("a\nb") == "'a\\nb'"
    assert brief([1] * 100) == str([1] * 100)[:79] + "…"
