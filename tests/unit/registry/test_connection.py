"""Answers in drops: each is in time, and still the operation ends."""

from __future__ import annotations

import pytest

from dfgen.oci.reference import Reference, Repository
from dfgen.registry import NoCredentials, Registry, RegistryOptions, Unreachable
from tests.fakes.wire import Wire

OK = b"HTTP/1.1 200 OK\r\n"


def _client() -> Registry:
    return Registry(RegistryOptions(deadline=0.3), credentials=NoCredentials())


def _reference(wire: Wire) -> Reference:
    return Reference(Repository(wire.address, "team/app"), "1.0")


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"HTTP/1.1 200 O", b"K"),
        (OK + b"X-Long: ", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5;", b"x"),
    ],
    ids=["status", "header", "continue", "chunk"],
)
def test_slow_lines_end_at_the_deadline(start: bytes, drop: bytes) -> None:
    with Wire(start, drop) as wire:
        with pytest.raises(Unreachable) as caught:
            _client().manifest(_reference(wire))
        assert f"{wire.address}: unreachable: the response is too slow (1 try in " in str(caught.value)


def test_error_with_a_slow_body_keeps_its_meaning() -> None:
    with Wire(b"HTTP/1.1 404 Not Found\r\nContent-Length: 60000\r\n\r\n", b"x") as wire:
        assert _client().find(_reference(wire)) is None


def test_rest_of_a_slow_response_is_not_waited_for() -> None:
    with Wire(b"HTTP/1.1 503 Busy\r\nContent-Length: 60000\r\n\r\n", b"x") as wire:
        with pytest.raises(Unreachable) as caught:
            _client().find(_reference(wire))
        assert "it returned 503 Service Unavailable (" in str(caught.value)
