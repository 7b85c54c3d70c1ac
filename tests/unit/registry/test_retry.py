"""Retries: every operation with every fault succeeds, or fails with the right error within the deadline."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from email.utils import formatdate

import pytest

from dfgen.oci.digest import Digest
from dfgen.oci.manifest import OCI_MANIFEST, Descriptor
from dfgen.oci.reference import Reference
from dfgen.registry import RateLimited, Refused, Registry, Unreachable
from tests.fakes.clock import WALL, FakeClock
from tests.fakes.images import FakeImage
from tests.fakes.registry import FakeRegistry, Fault
from tests.unit.registry.conftest import MakeClient

BLOB = b"a layer of some length " * 1000

Operation = Callable[[Registry, Reference, FakeImage], object]


def _blob(app: FakeImage) -> Descriptor:
    return app.manifest.config


OPERATIONS: dict[str, tuple[str, str, Operation]] = {
    "resolve": ("HEAD", "/manifests/", lambda client, ref, app: client.resolve(ref)),
    "manifest": ("GET", "/manifests/", lambda client, ref, app: client.manifest(ref)),
    "blob": ("GET", "/blobs/", lambda client, ref, app: client.blob(ref.repository, _blob(app))),
    "has": ("HEAD", "/blobs/", lambda client, ref, app: client.has_blob(ref.repository, _blob(app).digest)),
    "put": ("PUT", "/manifests/", lambda client, ref, app: client.put_manifest(ref, app.raw, OCI_MANIFEST)),
    "start": (
        "POST",
        "/uploads/",
        lambda client, ref, app: client.upload(ref.repository, Descriptor.of(BLOB, "x"), BLOB),
    ),
    "upload": (
        "PUT",
        "/uploads/",
        lambda client, ref, app: client.upload(ref.repository, Descriptor.of(BLOB, "x"), BLOB),
    ),
}

PASSING = {
    "429 without Retry-After": Fault(status=429, applied=False),
    "429 with seconds": Fault(status=429, headers={"Retry-After": "7"}, applied=False),
    "429 with a date": Fault(
        status=429, headers={"Retry-After": formatdate(WALL + 20, usegmt=True)}, applied=False
    ),
    "500": Fault(status=500, applied=False),
    "502": Fault(status=502, applied=False),
    "503": Fault(status=503, headers={"Retry-After": "2"}, applied=False),
    "504": Fault(status=504, applied=False),
    "reset": Fault(reset=True, applied=False),
    "reset after it was done": Fault(reset=True),
}


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_transient_failures_are_retried(
    operation: str, fault: str, client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    method, path, act = OPERATIONS[operation]
    expected = act(client, reference, app)
    fake.blobs["team/app"].pop(str(Digest.of(BLOB)), None)
    fake.forget()
    fake.script(method, path, PASSING[fault], times=2)
    assert act(client, reference, app) == expected
    only_response_lost = fault == "reset after it was done" and operation == "upload"
    assert fake.count(method, path) == (1 if only_response_lost else 3)


@pytest.mark.parametrize("operation", ["manifest", "blob"])
@pytest.mark.parametrize(
    "fault", [Fault(cut=10), Fault(cut=0), Fault(stall=True), Fault(corrupt=True)], ids=str
)
def test_damaged_bodies_are_read_again(
    operation: str, fault: Fault, make: MakeClient, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    method, path, act = OPERATIONS[operation]
    fake.script(method, path, fault)
    client = make(idle_timeout=0.1)
    assert act(client, reference, app) == act(client, reference, app)
    assert fake.count(method, path) == 3


def test_pauses_grow_and_end_before_the_deadline(
    make: MakeClient, fake: FakeRegistry, reference: Reference, time: FakeClock
) -> None:
    fake.script("HEAD", "/manifests/", Fault(status=503), times=None)
    with pytest.raises(Unreachable) as caught:
        make(deadline=30).resolve(reference)
    assert time.pauses == [0.25, 0.5, 1, 2, 4, 8, 10]
    assert str(caught.value) == (
        f"{fake.address}: unreachable: it returned 503 Service Unavailable (8 tries in 25.8 s); "
        "try again later"
    )


def test_retry_after_is_respected(
    client: Registry, fake: FakeRegistry, reference: Reference, time: FakeClock
) -> None:
    fake.script("", "/manifests/", PASSING["429 with seconds"])
    fake.script("", "/manifests/", PASSING["429 with a date"])
    client.resolve(reference)
    assert time.pauses == [7, 13]


@pytest.mark.parametrize(
    ("after", "advice"),
    [
        ("3600", "try again in 3600 s, or log in for a higher limit"),
        (formatdate(WALL + 100, usegmt=True), "try again in 100 s, or log in for a higher limit"),
        ("9" * 400, "try again later, or log in for a higher limit"),
        ("Fri, 31 Dec 9999 23:59:59 GMT", "try again later, or log in for a higher limit"),
    ],
)
def test_retry_after_beyond_the_deadline_fails_at_once(
    after: str, advice: str, client: Registry, fake: FakeRegistry, reference: Reference, time: FakeClock
) -> None:
    fake.script("", "/manifests/", Fault(status=429, headers={"Retry-After": after}), times=None)
    with pytest.raises(RateLimited) as caught:
        client.resolve(reference)
    assert str(caught.value) == (
        f"{fake.address}: rate-limited: too many requests (1 try in 0.0 s); {advice}"
    )
    assert time.pauses == []


def test_persistent_rate_limit(make: MakeClient, fake: FakeRegistry, reference: Reference) -> None:
    fake.script("", "/manifests/", Fault(status=429), times=None)
    with pytest.raises(RateLimited) as caught:
        make(deadline=2).find(reference)
    assert str(caught.value) == (
        f"{fake.address}: rate-limited: too many requests (4 tries in 1.8 s); "
        "try again later, or log in for a higher limit"
    )


def test_used_up_quota_fails_at_once(
    client: Registry, fake: FakeRegistry, reference: Reference, time: FakeClock
) -> None:
    spent = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "0;w=21600"}
    fake.script("", "/manifests/", Fault(status=429, headers=spent), times=None)
    with pytest.raises(RateLimited) as caught:
        client.manifest(reference)
    assert str(caught.value) == (
        f"{fake.address}: rate-limited: its quota of 100 pulls per 6 h is used up (1 try in 0.0 s); "
        "try again later, or log in for a higher limit"
    )
    assert fake.count() == 1


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (Fault(cut=10), "the response was cut short"),
        (Fault(reset=True), "the connection was reset"),
        (Fault(stall=True), "no response for 0.1 s"),
    ],
)
def test_connection_failures_are_reported(
    fault: Fault, cause: str, make: MakeClient, fake: FakeRegistry, reference: Reference
) -> None:
    fake.script("GET", "/manifests/", fault, times=None)
    with pytest.raises(Unreachable) as caught:
        make(deadline=0.5, idle_timeout=0.1).manifest(reference)
    assert str(caught.value) == (
        f"{fake.address}: unreachable: {cause} (2 tries in 0.2 s); check the network and try again"
    )


def test_slow_body_ends_at_the_deadline(fake: FakeRegistry, reference: Reference) -> None:
    fake.script("GET", "/manifests/", Fault(drip=True, headers={"Content-Length": "100000"}), times=None)
    time = FakeClock()
    tick = iter(range(10**6))
    ticking = time.clock
    client = _client_with(ticking.sleep, lambda: time.passed + next(tick))
    with pytest.raises(Unreachable) as caught:
        client.manifest(reference)
    assert "unreachable: the response took longer than 60 s (1 try in " in str(caught.value)


def _client_with(sleep: Callable[[float], None], now: Callable[[], float]) -> Registry:
    from dfgen.registry import Clock, NoCredentials

    return Registry(credentials=NoCredentials(), clock=Clock(now=now, sleep=sleep))


def test_connection_refused(client: Registry) -> None:
    with FakeRegistry() as closed:
        address = closed.address
    with pytest.raises(Unreachable) as caught:
        client.resolve(Reference.parse(f"{address}/a:1"))
    assert str(caught.value) == (
        f"{address}: unreachable: connection refused (3 tries in 0.8 s); check the network and try again"
    )
    assert caught.value.unreachable == address


def test_unreachable_host_is_tried_once_by_later_operations(client: Registry) -> None:
    with FakeRegistry() as closed:
        address = closed.address
    for name, tries in (("a:1", "3 tries in 0.8 s"), ("b:1", "1 try in 0.0 s")):
        with pytest.raises(Unreachable) as caught:
            client.resolve(Reference.parse(f"{address}/{name}"))
        assert str(caught.value) == (
            f"{address}: unreachable: connection refused ({tries}); check the network and try again"
        )


def test_failing_host_is_retried_by_later_operations(fake: FakeRegistry, client: Registry) -> None:
    fake.script("HEAD", "/a/", Fault(status=503), times=None)
    with pytest.raises(Unreachable):
        client.resolve(Reference.parse(f"{fake.address}/a:1"))
    first = fake.count()
    with pytest.raises(Unreachable):
        client.resolve(Reference.parse(f"{fake.address}/a:1"))
    assert first == fake.count() - first > 3


def test_unknown_host_name(client: Registry) -> None:
    with pytest.raises(Unreachable) as caught:
        client.resolve(Reference.parse("registry.invalid/a:1"))
    assert str(caught.value) == (
        "registry.invalid: unreachable: the host name cannot be resolved (3 tries in 0.8 s); "
        "check the host name and the network"
    )


def test_refusal_quotes_the_registry(client: Registry, fake: FakeRegistry, reference: Reference) -> None:
    body = b'{"errors": [{"code": "TAG_INVALID", "message": "no\\nsuch tag, eyJhbGciOi.abc.def"}]}'
    fake.script("PUT", "/manifests/", Fault(status=400, body=body), times=None)
    with pytest.raises(Refused) as caught:
        client.put_manifest(reference, b"{}", OCI_MANIFEST)
    assert str(caught.value) == (
        f"{fake.address}: cannot push {reference}: it returned 400 Bad Request: TAG_INVALID no such tag, …"
    )
    assert fake.count() == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=400, body=b"!" * 20_000),
        Fault(status=400, body=b"!", cut=0),
        Fault(status=400, headers={"Content-Type": "text/html"}, body=b"[" * 10_000),
    ],
)
def test_refusal_with_an_unreadable_body(
    fault: Fault, client: Registry, fake: FakeRegistry, reference: Reference
) -> None:
    fake.script("GET", "/manifests/", fault)
    with pytest.raises(Refused) as caught:
        client.manifest(reference)
    assert str(caught.value) == f"{fake.address}: cannot pull {reference}: it returned 400 Bad Request"


def test_html_error_page_is_not_quoted(client: Registry, fake: FakeRegistry, reference: Reference) -> None:
    page = Fault(status=418, body=b"<html>", headers={"Content-Type": "text/html"})
    fake.script("GET", "/manifests/", page)
    with pytest.raises(Refused, match=r"it returned 418 I'm a Teapot$"):
        client.manifest(reference)


def test_port_that_does_not_speak_http(client: Registry) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        threading.Thread(target=_greet, args=(server,), daemon=True).start()
        with pytest.raises(Unreachable) as caught:
            client.resolve(Reference.parse(f"{address}/a:1"))
    assert str(caught.value) == (
        f"{address}: unreachable: the response is not HTTP (3 tries in 0.8 s); "
        "check the network and try again"
    )


def _greet(server: socket.socket) -> None:
    for _ in range(3):
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")
            connection.recv(65536)


def test_unknown_status_is_reported(client: Registry, fake: FakeRegistry, reference: Reference) -> None:
    fake.script("GET", "", Fault(status=499, body=b"gone fishing\nmore"), times=None)
    with pytest.raises(Refused) as caught:
        client.manifest(reference)
    assert str(caught.value) == f"{fake.address}: cannot pull {reference}: it returned 499: gone fishing"
