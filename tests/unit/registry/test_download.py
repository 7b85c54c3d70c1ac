"""Downloads: blobs to memory or to a file, verified, resumed, and never left incomplete."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dfgen.errors import ExternalError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import Descriptor
from dfgen.oci.reference import Repository
from dfgen.registry import Corrupt, Missing, Refused, Registry, Unreachable
from tests.fakes.registry import FakeRegistry, Fault
from tests.unit.registry.conftest import MakeClient

DATA = bytes(range(256)) * 2000


@pytest.fixture
def layer(fake: FakeRegistry) -> Descriptor:
    return fake.add_blob("team/app", DATA)


def corrupt_message(repository: Repository, layer: Descriptor, found: str, expected: str) -> str:
    return (
        f"{repository.registry}: cannot pull the blob {repository}@{layer.digest}: "
        f"got {found}, expected {expected}; the response was discarded; "
        "try again, and report it to the registry's operator if it persists"
    )


def test_small_blob_is_one_request(
    client: Registry, fake: FakeRegistry, repository: Repository, layer: Descriptor
) -> None:
    assert client.blob(repository, layer) == DATA
    assert fake.log() == [f"GET /v2/team/app/blobs/{layer.digest} 200"]


def test_blob_over_the_limit_is_not_requested(
    client: Registry, fake: FakeRegistry, repository: Repository, layer: Descriptor
) -> None:
    with pytest.raises(Refused) as caught:
        client.blob(repository, layer, limit=100)
    assert str(caught.value) == (
        f"{fake.address}: cannot pull the blob {repository}@{layer.digest}: "
        "it has 512000 bytes, expected at most 100"
    )
    assert fake.count() == 0


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (Fault(body=DATA[:-1]), "511999 bytes"),
        (Fault(body=DATA + b"!"), "more than 512000 bytes"),
        (Fault(body=DATA + b"!", headers={"Content-Length": None}), "more than 512000 bytes"),
    ],
)
def test_wrong_size_is_corrupt(
    fault: Fault,
    found: str,
    client: Registry,
    fake: FakeRegistry,
    repository: Repository,
    layer: Descriptor,
    tmp_path: Path,
) -> None:
    fake.script("GET", "/blobs/", fault, times=None)
    with pytest.raises(Corrupt) as caught:
        client.blob(repository, layer)
    assert str(caught.value) == corrupt_message(repository, layer, found, "512000 bytes")
    with pytest.raises(Corrupt) as caught:
        client.download(repository, layer, tmp_path / "layer")
    assert str(caught.value) == corrupt_message(repository, layer, found, "512000 bytes")
    assert fake.count() == 4


def test_wrong_bytes_are_corrupt(
    client: Registry, fake: FakeRegistry, repository: Repository, layer: Descriptor, tmp_path: Path
) -> None:
    fake.script("GET", "/blobs/", Fault(corrupt=True), times=None)
    found = str(Digest.of(bytes([DATA[0] ^ 1]) + DATA[1:]))
    with pytest.raises(Corrupt) as caught:
        client.blob(repository, layer)
    assert str(caught.value) == corrupt_message(repository, layer, found, str(layer.digest))
    with pytest.raises(Corrupt) as caught:
        client.download(repository, layer, tmp_path / "layer")
    assert str(caught.value) == corrupt_message(repository, layer, found, str(layer.digest))
    assert list(tmp_path.iterdir()) == []


def test_download_creates_the_folder_and_leaves_only_the_file(
    client: Registry, repository: Repository, layer: Descriptor, tmp_path: Path
) -> None:
    target = tmp_path / "blobs" / "layer"
    client.download(repository, layer, target)
    assert target.read_bytes() == DATA
    assert list(target.parent.iterdir()) == [target]


def test_download_resumes(
    client: Registry, fake: FakeRegistry, repository: Repository, layer: Descriptor, tmp_path: Path
) -> None:
    fake.script("GET", "/blobs/", Fault(cut=300_000))
    fake.script("GET", "/blobs/", Fault(cut=100_000))
    client.download(repository, layer, tmp_path / "layer")
    assert (tmp_path / "layer").read_bytes() == DATA
    assert [seen.call.headers.get("range") for seen in fake.seen] == [None, "bytes=300000-", "bytes=400000-"]


def test_download_restarts_without_range_support(
    client: Registry, fake: FakeRegistry, repository: Repository, layer: Descriptor, tmp_path: Path
) -> None:
    fake.behaviour.ranges = False
    fake.script("GET", "/blobs/", Fault(cut=300_000))
    client.download(repository, layer, tmp_path / "layer")
    assert (tmp_path / "layer").read_bytes() == DATA


@pytest.mark.parametrize("header", ["bytes 5-511999/512000", None, "nonsense"])
def test_download_restarts_after_a_wrong_range(
    header: str | None,
    client: Registry,
    fake: FakeRegistry,
    repository: Repository,
    layer: Descriptor,
    tmp_path: Path,
) -> None:
    fake.script("GET", "/blobs/", Fault(cut=300_000))
    fake.script("GET", "/blobs/", Fault(headers={"Content-Range": header}, body=DATA))
    client.download(repository, layer, tmp_path / "layer")
    assert (tmp_path / "layer").read_bytes() == DATA
    assert fake.count() == 2


def test_corrupt_download_restarts(
    client: Registry, fake: FakeRegistry, repository: Repository, layer: Descriptor, tmp_path: Path
) -> None:
    fake.script("GET", "/blobs/", Fault(corrupt=True))
    client.download(repository, layer, tmp_path / "layer")
    assert (tmp_path / "layer").read_bytes() == DATA
    assert [seen.call.headers.get("range") for seen in fake.seen] == [None, None]


def test_missing_blob_leaves_no_file(
    client: Registry, fake: FakeRegistry, repository: Repository, layer: Descriptor, tmp_path: Path
) -> None:
    other = replace(layer, digest=Digest.of(b"other"))
    with pytest.raises(Missing) as caught:
        client.download(repository, other, tmp_path / "layer")
    assert str(caught.value) == (
        f"{fake.address}: cannot pull the blob {repository}@{other.digest}: not found: "
        "BLOB_UNKNOWN blob unknown to registry; check the name and the tag"
    )
    assert list(tmp_path.iterdir()) == []


def test_target_cannot_be_written(
    client: Registry, repository: Repository, layer: Descriptor, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "blobs" / "layer"
    with pytest.raises(ExternalError) as caught:
        client.download(repository, layer, target)
    assert str(caught.value) == (
        f"{target}: cannot be written: Not a directory; free up space or choose another folder"
    )


def test_large_blob_has_a_later_deadline(
    make: MakeClient, fake: FakeRegistry, repository: Repository, layer: Descriptor, tmp_path: Path
) -> None:
    fake.script("GET", "/blobs/", Fault(status=503), times=None)
    with pytest.raises(Unreachable, match=r"5 tries in 3\.8 s"):
        make(deadline=4).blob(repository, layer)
    with pytest.raises(Unreachable, match=r"6 tries in 7\.8 s"):
        make(deadline=4).download(repository, layer, tmp_path / "layer")


def test_blob_redirect_to_another_server(
    client: Registry, fake: FakeRegistry, repository: Repository, layer: Descriptor
) -> None:
    with FakeRegistry() as storage:
        storage.add_blob("team/app", DATA)
        fake.behaviour.redirect = storage.url
        assert client.blob(repository, layer) == DATA
        assert client.has_blob(repository, layer.digest)
        assert (fake.count(), storage.count()) == (2, 2)


def test_expired_storage_url_is_requested_again(
    client: Registry, fake: FakeRegistry, repository: Repository, layer: Descriptor
) -> None:
    with FakeRegistry() as storage:
        storage.add_blob("team/app", DATA)
        storage.script("GET", "/blobs/", Fault(status=403))
        fake.behaviour.redirect = storage.url
        assert client.blob(repository, layer) == DATA
        storage.script("GET", "/blobs/", Fault(status=401), times=None)
        with pytest.raises(Unreachable) as caught:
            client.blob(repository, layer)
        assert str(caught.value) == (
            f"{storage.address}: unreachable: it returned 401 Unauthorized (3 tries in 0.8 s); "
            "check the network and try again"
        )


def test_redirect_loop(
    client: Registry, fake: FakeRegistry, repository: Repository, layer: Descriptor
) -> None:
    fake.behaviour.redirect = fake.url
    with pytest.raises(Refused) as caught:
        client.blob(repository, layer)
    assert str(caught.value) == (
        f"{fake.address}: cannot pull the blob {repository}@{layer.digest}: more than 5 redirects"
    )
    assert fake.count() == 12  # a registry behind a broken proxy gets a second try


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "it returned no Location header"),
        (
            {"Location": "gopher://a.example"},
            "its Location header was rejected: not an http or https address",
        ),
    ],
)
def test_redirect_with_an_invalid_location(
    headers: dict[str, str | None],
    why: str,
    client: Registry,
    fake: FakeRegistry,
    repository: Repository,
    layer: Descriptor,
) -> None:
    fake.script("GET", "/blobs/", Fault(status=307, headers=headers))
    with pytest.raises(Refused) as caught:
        client.blob(repository, layer)
    assert str(caught.value) == f"{fake.address}: cannot pull the blob {repository}@{layer.digest}: {why}"


def test_has_blob(client: Registry, fake: FakeRegistry, repository: Repository, layer: Descriptor) -> None:
    assert client.has_blob(repository, layer.digest)
    assert not client.has_blob(repository, Digest.of(b"other"))
    assert fake.count("HEAD") == fake.count() == 2


def test_has_blob_without_head_support(
    client: Registry, fake: FakeRegistry, repository: Repository, layer: Descriptor
) -> None:
    fake.behaviour.blob_head = False
    assert client.has_blob(repository, layer.digest)
    assert not client.has_blob(repository, Digest.of(b"other"))
    assert (fake.count("HEAD"), fake.count("GET")) == (2, 2)
    fake.script("", "/blobs/", Fault(status=400), times=2)
    with pytest.raises(Refused):
        client.has_blob(repository, layer.digest)


def test_connection_is_reused_after_every_kind_of_response(
    client: Registry, fake: FakeRegistry, repository: Repository, layer: Descriptor
) -> None:
    for _ in range(3):
        client.blob(repository, layer)
        client.has_blob(repository, Digest.of(b"other"))
        client.upload(repository, Descriptor.of(b"x", "x"), b"x")
        fake.blobs["team/app"].pop(str(Digest.of(b"x")))
        fake.script("GET", "/blobs/", Fault(status=503, body=b"sorry"))
        client.blob(repository, layer)
    assert fake.connections == 1
