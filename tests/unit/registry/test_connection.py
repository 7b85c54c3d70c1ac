"""Connections: slow responses end at the deadline, and urllib3's errors are translated."""

from __future__ import annotations

import ssl

import pytest
from urllib3.exceptions import HTTPError, ProtocolError, SSLError

from dfgen.oci.reference import Reference, Repository
from dfgen.registry import NoCredentials, Registry, RegistryOptions, Unreachable
from dfgen.registry.connection import transient_error
from tests.fakes.raw_server import RawServer

OK = b"HTTP/1.1 200 OK\r\n"


def _client() -> Registry:
    return Registry(RegistryOptions(deadline=0.3), credentials=NoCredentials())


def _reference(server: RawServer) -> Reference:
    return Reference(Repository(server.address, "team/app"), "1.0")


@pytest.mark.parametrize(
    ("start", "drip"),
    [
        (b"HTTP/1.1 200 O", b"K"),
        (OK + b"X-Long: ", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5;", b"x"),
    ],
    ids=["status", "header", "continue", "chunk"],
)
def test_slow_lines_end_at_the_deadline(start: bytes, drip: bytes) -> None:
    with RawServer(start, drip) as server:
        with pytest.raises(Unreachable) as caught:
            _client().manifest(_reference(server))
        assert f"{server.address}: unreachable: the response is too slow (1 try in " in str(caught.value)


def test_error_with_a_slow_body_keeps_its_meaning() -> None:
    with RawServer(b"HTTP/1.1 404 Not Found\r\nContent-Length: 60000\r\n\r\n", b"x") as server:
        assert _client().find(_reference(server)) is None


def test_rest_of_a_slow_response_is_not_waited_for() -> None:
    with RawServer(b"HTTP/1.1 503 Busy\r\nContent-Length: 60000\r\n\r\n", b"x") as server:
        with pytest.raises(Unreachable) as caught:
            _client().find(_reference(server))
        assert "it returned 503 Service Unavailable (" in str(caught.value)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (SSLError(ssl.SSLEOFError(8, "EOF occurred")), "the connection was reset"),
        (SSLError("unknown"), "TLS: the handshake failed"),
        (ProtocolError("unknown"), "the connection failed"),
        (ProtocolError("aborted", OSError(113, "No route to host")), "no route to host"),
        (ProtocolError("aborted", BrokenPipeError()), "the connection was reset"),
    ],
)
def test_rare_urllib3_errors(error: HTTPError, cause: str) -> None:
    found = transient_error(error, "https://registry.example/v2/", 20).final_error(1, 0)
    assert str(found) == (
        f"registry.example: unreachable: {cause} (1 try in 0.0 s); check the network and try again"
    )
