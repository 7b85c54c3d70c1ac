"""Chunked uploads: used if the registry refuses monolithic ones, and resumed after a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.oci.manifest import Descriptor
from dfgen.oci.reference import Repository
from dfgen.registry import Refused, Uploaded
from tests.fakes.registry import FakeRegistry, Fault
from tests.unit.registry.conftest import DATA, LAYER, UPLOADS, MakeClient, steps, stored


def test_registry_that_refuses_monolithic_uploads_gets_chunks_from_then_on(
    make: MakeClient, fake: FakeRegistry, repository: Repository, file: Path
) -> None:
    fake.behaviour.chunked_only = True
    sent: list[int] = []
    client = make(chunk_size=400_000)
    client.upload(repository, LAYER, file, progress=sent.append)
    assert stored(fake) == DATA
    assert steps(fake) == ["HEAD 404", "POST 202", "PUT 400", "POST 202", *["PATCH 202"] * 3, "PUT 201"]
    ranges = [seen.call.headers["content-range"] for seen in fake.seen if seen.call.method == "PATCH"]
    assert ranges == ["0-399999", "400000-799999", "800000-1023999"]
    assert sum(sent) == len(DATA)
    fake.forget()
    client.upload(repository, Descriptor.of(b"more", "x"), b"more")
    assert steps(fake) == ["HEAD 404", "POST 202", "PATCH 202", "PUT 201"]


def test_chunks_have_the_minimum_size_of_the_registry(
    make: MakeClient, fake: FakeRegistry, repository: Repository
) -> None:
    fake.behaviour.chunked_only = True
    fake.script("POST", UPLOADS, Fault(headers={"OCI-Chunk-Min-Length": "600000"}), times=None)
    make(chunk_size=1000).upload(repository, LAYER, DATA)
    assert fake.count("PATCH") == 2


@pytest.mark.parametrize("fault", [Fault(reset=True), Fault(status=503), Fault(status=503, applied=False)])
def test_chunked_upload_resumes_at_the_offset_of_the_registry(
    fault: Fault, make: MakeClient, fake: FakeRegistry, repository: Repository
) -> None:
    fake.behaviour.chunked_only = True
    client = make(chunk_size=400_000)
    client.upload(repository, Descriptor.of(b"x", "x"), b"x")
    fake.forget()
    fake.script("PATCH", UPLOADS, Fault(), times=1)
    fake.script("PATCH", UPLOADS, fault)
    client.upload(repository, LAYER, DATA)
    assert stored(fake) == DATA
    assert fake.count("POST") == 1
    assert fake.count("PATCH") == (3 if fault.applied else 4)


def test_chunked_upload_restarts_if_no_chunk_arrived(
    make: MakeClient, fake: FakeRegistry, repository: Repository
) -> None:
    fake.behaviour.chunked_only = True
    client = make(chunk_size=400_000)
    client.upload(repository, Descriptor.of(b"x", "x"), b"x")
    fake.forget()
    fake.script("PATCH", UPLOADS, Fault(status=503, applied=False))
    client.upload(repository, LAYER, DATA)
    assert stored(fake) == DATA
    assert (fake.count("GET", UPLOADS), fake.count("POST")) == (1, 2)


def test_chunked_upload_restarts_if_its_session_is_gone(
    make: MakeClient, fake: FakeRegistry, repository: Repository
) -> None:
    fake.behaviour.chunked_only = True
    sent: list[int] = []
    client = make(chunk_size=400_000)
    client.upload(repository, Descriptor.of(b"x", "x"), b"x")
    fake.script("PATCH", UPLOADS, Fault(), times=1)
    fake.script("PATCH", UPLOADS, Fault(reset=True))
    fake.script("GET", UPLOADS, Fault(status=404))
    client.upload(repository, LAYER, DATA, progress=sent.append)
    assert stored(fake) == DATA
    assert sum(sent) == len(DATA)
    assert min(sent) < 0


def test_upload_restarts_if_its_session_is_gone_at_the_end(
    make: MakeClient, fake: FakeRegistry, repository: Repository
) -> None:
    client = make(chunk_size=600_000)
    for chunked in (False, True):
        fake.behaviour.chunked_only = chunked
        client.upload(repository, Descriptor.of(b"x", "x"), b"x")
        fake.blobs.clear()
        fake.forget()
        fake.script("PUT", UPLOADS, Fault(status=404, applied=False))
        assert client.upload(repository, LAYER, DATA) is Uploaded.UPLOADED
        assert stored(fake) == DATA
        assert (fake.count("POST"), fake.count("PATCH")) == (2, 4 if chunked else 0)


def test_chunked_upload_restarts_if_its_session_ends(
    make: MakeClient, fake: FakeRegistry, repository: Repository
) -> None:
    fake.behaviour.chunked_only = True
    client = make(chunk_size=400_000)
    client.upload(repository, Descriptor.of(b"x", "x"), b"x")
    fake.forget()
    fake.script("PATCH", UPLOADS, Fault(), times=1)
    fake.script("PATCH", UPLOADS, Fault(status=404, applied=False))
    client.upload(repository, LAYER, DATA)
    assert stored(fake) == DATA
    assert fake.count("POST") == 2


def test_rejected_range_requests_the_offset(
    make: MakeClient, fake: FakeRegistry, repository: Repository
) -> None:
    fake.behaviour.chunked_only = True
    client = make(chunk_size=400_000)
    client.upload(repository, Descriptor.of(b"x", "x"), b"x")
    fake.forget()
    fake.script("PATCH", UPLOADS, Fault(), times=1)
    fake.script("PATCH", UPLOADS, Fault(status=416))  # although it has stored the chunk
    client.upload(repository, LAYER, DATA)
    assert stored(fake) == DATA
    assert (fake.count("POST"), fake.count("GET", UPLOADS)) == (1, 1)


def test_chunks_shrink_if_they_are_too_large(
    make: MakeClient, fake: FakeRegistry, repository: Repository
) -> None:
    fake.behaviour.max_body = 70_000
    make(chunk_size=1_000_000).upload(repository, LAYER, DATA)
    assert stored(fake) == DATA
    assert steps(fake)[-1] == "PUT 201"


def test_chunks_are_too_large_however_small(
    make: MakeClient, fake: FakeRegistry, repository: Repository
) -> None:
    fake.behaviour.max_body = 10
    with pytest.raises(Refused) as caught:
        make(chunk_size=1_000_000).upload(repository, LAYER, DATA)
    assert str(caught.value) == (
        f"{fake.address}: cannot push the blob {repository}@{LAYER.digest}: it returned 413 "
        "Request Entity Too Large; raise the request size limit of the registry, or of the proxy in front of it"
    )
    assert fake.count("PATCH") == 3
