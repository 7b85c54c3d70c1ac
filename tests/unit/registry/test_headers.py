"""Untrusted headers and text: challenges, quotas, Retry-After, and error messages of registries."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.oci.reference import Reference
from dfgen.registry import Quota, Registry
from dfgen.registry.auth import Challenge
from dfgen.registry.endpoint import format_scopes
from dfgen.registry.errors import sanitize
from dfgen.registry.retry import parse_retry_after
from tests.fakes.registry import FakeRegistry

BEARER = Challenge("bearer", "https://auth.example/token", "registry.example")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a:pull,push"',
            BEARER,
        ),
        ('bearer Realm = "https://auth.example/token" , SERVICE="registry.example"', BEARER),
        ("Bearer service=registry.example, realm=https://auth.example/token", BEARER),
        ('Basic realm="a, b", Bearer realm="https://auth.example/token",service="registry.example"', BEARER),
        ('Bearer realm="https://auth.example/token",service="registry.example", Basic realm="x"', BEARER),
        ('Basic realm="say \\"hi\\""', Challenge("basic", 'say "hi"')),
        ("Basic", Challenge("basic")),
        ('Negotiate, Basic realm="x"', Challenge("basic", "x")),
        ('Negotiate abc/d+e==, Basic realm="x"', Challenge("basic", "x")),
        ("Negotiate,Basic", Challenge("basic")),
        (', Bearer realm="https://auth.example/token",,service="registry.example",', BEARER),
        ('Bearer realm="https://auth.example/token" service="registry.example"', BEARER),
        ('Basic realm="a, Bearer realm=b", Digest realm="c"', Challenge("basic", "a, Bearer realm=b")),
        ('Bearer service="x"', None),
        ('Bearer realm="https://auth.example/token', None),
        ("Bearer", None),
        ("Negotiate abc==", None),
        ("", None),
    ],
)
def test_challenges(header: str, expected: Challenge | None) -> None:
    assert Challenge.parse(header) == expected


@given(st.text(max_size=80))
def test_any_challenge_parses_or_is_none(header: str) -> None:
    found = Challenge.parse(header)
    assert found is None or found.scheme in ("bearer", "basic")


def test_scopes_are_formatted_by_repository() -> None:
    needed = frozenset({("b/c", "push"), ("b/c", "pull"), ("a", "pull")})
    assert format_scopes(needed) == ["repository:a:pull", "repository:b/c:pull,push"]


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", 120),
        (" 0 ", 0),
        (formatdate(NOW + 90, usegmt=True), 90),
        (formatdate(NOW - 90, usegmt=True), 0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("²", None),
        ("Tue, 99 Nov 2023 22:14:20 GMT", None),
    ],
)
def test_retry_after(value: str, expected: float | None) -> None:
    assert parse_retry_after(value, NOW) == expected


@given(
    st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,6} \d\d:\d\d:\d\d.{0,5}")
)
def test_any_retry_after_is_a_wait_or_none(value: str) -> None:
    found = parse_retry_after(value, NOW)
    assert found is None or found >= 0


@pytest.mark.parametrize(
    ("limit", "remaining", "expected"),
    [
        ("100;w=21600", "76;w=21600", Quota(limit=100, remaining=76, window=21600)),
        ("100", "0", Quota(limit=100, remaining=0)),
        ("100, 100;w=21600", "9", Quota(limit=100, remaining=9)),
        ("100;w=21600", "", None),
        ("many", "76", None),
    ],
)
def test_quotas(limit: str, remaining: str, expected: Quota | None) -> None:
    assert Quota.parse({"ratelimit-limit": limit, "ratelimit-remaining": remaining}) == expected


def test_client_keeps_the_latest_quota(client: Registry, fake: FakeRegistry, reference: Reference) -> None:
    client.resolve(reference)
    assert client.quota == {}
    fake.behaviour.quota = (100, 76, 21600)
    client.resolve(reference)
    assert client.quota == {fake.address: Quota(limit=100, remaining=76, window=21600)}
    fake.behaviour.quota = (100, 75, 21600)
    assert client.find(reference.with_tag("none")) is None
    assert client.quota[fake.address].remaining == 75


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two\nlines\tand\x1b[31m colour", "two lines and [31m colour"),
        ("see https://bob:hunter2@a.example/x", "see https://a.example/x"),
        ("sent Authorization: Bearer abcdefgh12345678", "sent Authorization: Bearer …"),
        ("Basic YWxpY2U6b3Blbg== was refused", "Basic … was refused"),
        ("jwt eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.sig-nature", "jwt …"),
        ("/x?X-Amz-Signature=abc&access_token=def&a=b", "/x?X-Amz-Signature=…&access_token=…&a=b"),
        ("basic authentication", "basic …"),
        ('{"token":"abc", "a":"b"}', '{"token":"…", "a":"b"}'),
        ("password: hunter2 is wrong", "password: … is wrong"),
        ("x" * 201, "x" * 199 + "…"),
    ],
)
def test_sanitize(text: str, expected: str) -> None:
    assert sanitize(text) == expected


@given(st.text())
def test_sanitized_text_is_one_short_printable_line(text: str) -> None:
    line = sanitize(text)
    assert line.isprintable()
    assert len(line) <= 200
    assert sanitize(line) == line
