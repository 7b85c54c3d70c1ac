"""Uploads: skipped, mounted, in one request or in pieces, and never sent twice for a lost answer."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dfgen.outside.registry import Corrupt, Forbidden, Refused, Registry, Unreachable, Uploaded
from dfgen.values.digest import Digest
from dfgen.values.errors import InputError, OutsideError
from dfgen.values.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor
from dfgen.values.reference import Reference, Repository
from tests.fakes.images import FakeImage, image, index_of
from tests.fakes.registry import FakeRegistry, Fault
from tests.unit.registry.conftest import MakeClient

DATA = bytes(range(256)) * 4000
LAYER = Descriptor.of(DATA, "application/octet-stream")
UPLOADS = "/v2/team/app/blobs/uploads/"


@pytest.fixture
def repository(fake: FakeRegistry) -> Repository:
    return Repository(fake.address, "team/app")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "layer"
    path.write_bytes(DATA)
    return path


def stored(fake: FakeRegistry) -> bytes | None:
    return fake.blobs.get("team/app", {}).get(str(LAYER.digest))


def steps(fake: FakeRegistry) -> list[str]:
    return [f"{seen.call.method} {seen.status}" for seen in fake.seen]


def test_a_blob_that_is_there_is_skipped(
    client: Registry, fake: FakeRegistry, repository: Repository
) -> None:
    fake.add_blob("team/app", DATA)
    assert client.upload(repository, LAYER, DATA) is Uploaded.SKIPPED
    assert steps(fake) == ["HEAD 200"]


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_blob_is_sent_in_one_request(
    in_memory: bool, client: Registry, fake: FakeRegistry, repository: Repository, file: Path
) -> None:
    assert client.upload(repository, LAYER, DATA if in_memory else file) is Uploaded.UPLOADED
    assert stored(fake) == DATA
    assert steps(fake) == ["HEAD 404", "POST 202", "PUT 201"]
    assert fake.seen[-1].call.headers["content-length"] == str(len(DATA))


def test_an_empty_blob(client: Registry, fake: FakeRegistry, repository: Repository) -> None:
    assert client.upload(repository, Descriptor.of(b"", "x"), b"") is Uploaded.UPLOADED
    assert fake.blobs["team/app"] == {str(Digest.of(b"")): b""}


def test_a_blob_is_mounted(client: Registry, fake: FakeRegistry, repository: Repository) -> None:
    fake.add_blob("team/base", DATA)
    other = Repository(fake.address, "team/base")
    elsewhere = Repository("registry.example", "team/base")
    done = client.upload(repository, LAYER, DATA, mount_from=[elsewhere, repository, other])
    assert done is Uploaded.MOUNTED
    assert stored(fake) == DATA
    assert steps(fake) == ["HEAD 404", "POST 201"]


def test_a_registry_without_mounts_gets_the_blob_in_the_session_it_began(
    client: Registry, fake: FakeRegistry, repository: Repository
) -> None:
    fake.behaviour.mounts = False
    fake.add_blob("team/base", DATA)
    done = client.upload(repository, LAYER, DATA, mount_from=[Repository(fake.address, "team/base")])
    assert done is Uploaded.UPLOADED
    assert steps(fake) == ["HEAD 404", "POST 202", "PUT 201"]


@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_a_mount_that_is_refused_is_an_upload(
    status: int, client: Registry, fake: FakeRegistry, repository: Repository
) -> None:
    fake.script("POST", UPLOADS, Fault(status=status))
    done = client.upload(repository, LAYER, DATA, mount_from=[Repository(fake.address, "team/base")])
    assert done is Uploaded.UPLOADED


def test_a_mount_that_one_is_not_allowed_is_an_upload(
    client: Registry, fake: FakeRegistry, repository: Repository
) -> None:
    fake.add_blob("team/base", DATA)
    door = fake.behaviour.door
    door.kind, door.private, door.anonymous = "token", {"team/base"}, frozenset({"pull", "push"})
    done = client.upload(repository, LAYER, DATA, mount_from=[Repository(fake.address, "team/base")])
    assert done is Uploaded.UPLOADED
    assert stored(fake) == DATA


def test_a_registry_that_insists_gets_pieces_and_is_remembered(
    make: MakeClient, fake: FakeRegistry, repository: Repository, file: Path
) -> None:
    fake.behaviour.chunked_only = True
    sent: list[int] = []
    client = make(chunk=400_000)
    client.upload(repository, LAYER, file, progress=sent.append)
    assert stored(fake) == DATA
    assert steps(fake) == ["HEAD 404", "POST 202", "PUT 400", "POST 202", *["PATCH 202"] * 3, "PUT 201"]
    ranges = [seen.call.headers["content-range"] for seen in fake.seen if seen.call.method == "PATCH"]
    assert ranges == ["0-399999", "400000-799999", "800000-1023999"]
    assert sum(sent) == len(DATA)
    fake.forget()
    client.upload(repository, Descriptor.of(b"more", "x"), b"more")
    assert steps(fake) == ["HEAD 404", "POST 202", "PATCH 202", "PUT 201"]


def test_pieces_are_as_large_as_the_registry_wants(
    make: MakeClient, fake: FakeRegistry, repository: Repository
) -> None:
    fake.behaviour.chunked_only = True
    fake.script("POST", UPLOADS, Fault(headers={"OCI-Chunk-Min-Length": "600000"}), times=None)
    make(chunk=1000).upload(repository, LAYER, DATA)
    assert fake.count("PATCH") == 2


@pytest.mark.parametrize(
    "fault", [Fault(reset=True), Fault(status=503), Fault(status=503, carried_out=False)]
)
def test_pieces_go_on_where_the_registry_is(
    fault: Fault, make: MakeClient, fake: FakeRegistry, repository: Repository
) -> None:
    fake.behaviour.chunked_only = True
    client = make(chunk=400_000)
    client.upload(repository, Descriptor.of(b"x", "x"), b"x")
    fake.forget()
    fake.script("PATCH", UPLOADS, Fault(), times=1)
    fake.script("PATCH", UPLOADS, fault)
    client.upload(repository, LAYER, DATA)
    assert stored(fake) == DATA
    assert fake.count("POST") == 1
    assert fake.count("PATCH") == (3 if fault.carried_out else 4)


def test_pieces_start_over_when_none_has_arrived(
    make: MakeClient, fake: FakeRegistry, repository: Repository
) -> None:
    fake.behaviour.chunked_only = True
    client = make(chunk=400_000)
    client.upload(repository, Descriptor.of(b"x", "x"), b"x")
    fake.forget()
    fake.script("PATCH", UPLOADS, Fault(status=503, carried_out=False))
    client.upload(repository, LAYER, DATA)
    assert stored(fake) == DATA
    assert (fake.count("GET", UPLOADS), fake.count("POST")) == (1, 2)


def test_pieces_start_over_when_their_session_is_gone(
    make: MakeClient, fake: FakeRegistry, repository: Repository
) -> None:
    fake.behaviour.chunked_only = True
    sent: list[int] = []
    client = make(chunk=400_000)
    client.upload(repository, Descriptor.of(b"x", "x"), b"x")
    fake.script("PATCH", UPLOADS, Fault(), times=1)
    fake.script("PATCH", UPLOADS, Fault(reset=True))
    fake.script("GET", UPLOADS, Fault(status=404))
    client.upload(repository, LAYER, DATA, progress=sent.append)
    assert stored(fake) == DATA
    assert sum(sent) == len(DATA)
    assert min(sent) < 0


def test_a_session_that_is_gone_at_the_end_is_begun_again(
    make: MakeClient, fake: FakeRegistry, repository: Repository
) -> None:
    client = make(chunk=600_000)
    for chunked in (False, True):
        fake.behaviour.chunked_only = chunked
        client.upload(repository, Descriptor.of(b"x", "x"), b"x")
        fake.blobs.clear()
        fake.forget()
        fake.script("PUT", UPLOADS, Fault(status=404, carried_out=False))
        assert client.upload(repository, LAYER, DATA) is Uploaded.UPLOADED
        assert stored(fake) == DATA
        assert (fake.count("POST"), fake.count("PATCH")) == (2, 4 if chunked else 0)


def test_a_lost_answer_costs_a_look_and_no_second_upload(
    client: Registry, fake: FakeRegistry, repository: Repository
) -> None:
    fake.script("PUT", UPLOADS, Fault(reset=True))
    assert client.upload(repository, LAYER, DATA) is Uploaded.UPLOADED
    assert steps(fake) == ["HEAD 404", "POST 202", "PUT 0", "HEAD 200"]


def test_progress_takes_back_what_has_to_be_sent_again(
    client: Registry, fake: FakeRegistry, repository: Repository, file: Path
) -> None:
    fake.script("PUT", UPLOADS, Fault(status=503, carried_out=False))
    sent: list[int] = []
    client.upload(repository, LAYER, file, progress=sent.append)
    assert stored(fake) == DATA
    assert sum(sent) == len(DATA)
    assert -len(DATA) in sent


def test_a_file_is_read_in_pieces_of_modest_size(
    client: Registry, repository: Repository, file: Path
) -> None:
    sent: list[int] = []
    client.upload(repository, LAYER, file, progress=sent.append)
    assert max(sent) <= 256 * 1024


def test_a_file_that_is_too_short_is_not_taken_for_the_network(
    client: Registry, repository: Repository, file: Path
) -> None:
    file.write_bytes(DATA[:1000])
    with pytest.raises(OutsideError) as caught:
        client.upload(repository, LAYER, file)
    assert str(caught.value) == f"{file}: ends at byte 1000, expected 1024000 bytes; build it again"


def test_a_file_that_is_gone_is_not_taken_for_the_network(
    client: Registry, repository: Repository, file: Path
) -> None:
    file.unlink()
    with pytest.raises(OutsideError) as caught:
        client.upload(repository, LAYER, file)
    assert str(caught.value) == f"{file}: cannot be read: No such file or directory"


def test_other_bytes_than_their_digest_are_refused_by_the_registry(
    client: Registry, fake: FakeRegistry, repository: Repository
) -> None:
    with pytest.raises(Refused) as caught:
        client.upload(repository, LAYER, b"!" + DATA[1:])
    assert str(caught.value) == (
        f"{fake.address}: cannot push the blob {repository}@{LAYER.digest}: it answers 400 Bad Request: "
        "DIGEST_INVALID provided digest did not match uploaded content"
    )
    assert stored(fake) is None


def test_another_digest_in_the_answer_is_corrupt(
    client: Registry, fake: FakeRegistry, repository: Repository
) -> None:
    other = Digest.of(b"other")
    fake.script("PUT", UPLOADS, Fault(headers={"Docker-Content-Digest": str(other)}))
    with pytest.raises(Corrupt, match=f"got {other}, expected {LAYER.digest}; nothing of it was used"):
        client.upload(repository, LAYER, DATA)


def test_a_nonsense_digest_in_the_answer_is_no_digest(
    client: Registry, fake: FakeRegistry, repository: Repository
) -> None:
    fake.script("PUT", UPLOADS, Fault(headers={"Docker-Content-Digest": "yes"}))
    assert client.upload(repository, LAYER, DATA) is Uploaded.UPLOADED


def test_an_answer_that_is_not_created(client: Registry, fake: FakeRegistry, repository: Repository) -> None:
    fake.script("PUT", "", Fault(status=202), times=None)
    with pytest.raises(Refused, match=r"it answers 202, expected 201 Created$"):
        client.put_manifest(Reference(repository, "1.0"), image().raw, OCI_MANIFEST)
    with pytest.raises(Refused, match=r"it answers 202, expected 201 Created$"):
        client.upload(repository, LAYER, DATA)


def test_a_registry_that_one_may_not_push_to(
    client: Registry, fake: FakeRegistry, repository: Repository
) -> None:
    fake.script("POST", UPLOADS, Fault(status=403))
    with pytest.raises(Forbidden) as caught:
        client.upload(repository, LAYER, DATA)
    assert str(caught.value) == (
        f"{fake.address}: forbidden to push the blob {repository}@{LAYER.digest}; "
        f"ask for access, or log in as another user with `docker login {fake.address}`"
    )


def test_an_upload_that_never_works_ends_at_its_deadline(
    make: MakeClient, fake: FakeRegistry, repository: Repository
) -> None:
    fake.script("PUT", UPLOADS, Fault(reset=True, carried_out=False), times=None)
    with pytest.raises(Unreachable, match=r"unreachable: the connection was reset \(5 tries in 3\.8 s\)"):
        make(deadline=4).upload(repository, Descriptor.of(b"x", "x"), b"x")


def test_threads_upload_at_once(client: Registry, fake: FakeRegistry, repository: Repository) -> None:
    blobs = [bytes([n]) * 10_000 for n in range(20)]
    threads = [
        threading.Thread(target=client.upload, args=(repository, Descriptor.of(blob, "x"), blob))
        for blob in blobs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fake.blobs["team/app"].values()) == blobs


def test_a_manifest_is_written_under_its_tag(
    client: Registry, fake: FakeRegistry, there: Reference, app: FakeImage
) -> None:
    raw = index_of([app.descriptor])
    assert client.put_manifest(there.with_tag("all"), raw, OCI_INDEX) == Digest.of(raw)
    assert fake.log() == ["PUT /v2/team/app/manifests/all 201"]
    assert fake.seen[0].call.headers["content-type"] == OCI_INDEX
    assert client.manifest(there.with_tag("all")).raw == raw


def test_a_manifest_is_written_under_its_digest(
    client: Registry, fake: FakeRegistry, there: Reference, app: FakeImage
) -> None:
    raw = index_of([app.descriptor])
    digest = Digest.of(raw)
    assert client.put_manifest(Reference(there.repository, digest=digest), raw, OCI_INDEX) == digest
    assert fake.log() == [f"PUT /v2/team/app/manifests/{digest} 201"]


def test_a_manifest_of_another_digest_is_not_sent(
    client: Registry, fake: FakeRegistry, there: Reference, app: FakeImage
) -> None:
    other = there.at(Digest.of(b"other"))
    with pytest.raises(InputError) as caught:
        client.put_manifest(other, app.raw, app.media_type)
    assert str(caught.value) == (f"{other}: the manifest to push has another digest, {Digest.of(app.raw)}")
    assert fake.count() == 0


def test_a_registry_that_names_another_digest_for_our_bytes(
    client: Registry, fake: FakeRegistry, there: Reference, app: FakeImage
) -> None:
    other = Digest.of(b"other")
    fake.script("PUT", "/manifests/", Fault(headers={"Docker-Content-Digest": str(other)}))
    with pytest.raises(Corrupt) as caught:
        client.put_manifest(there, app.raw, app.media_type)
    assert str(caught.value) == (
        f"{fake.address}: cannot push {there}: got {other}, expected {Digest.of(app.raw)}; "
        "nothing of it was used; try again, and tell who runs the registry if it stays so"
    )


def test_a_manifest_whose_blobs_are_not_there_is_refused(
    client: Registry, fake: FakeRegistry, there: Reference
) -> None:
    lonely = image(layers=[b"nobody has this"])
    with pytest.raises(Refused, match="MANIFEST_BLOB_UNKNOWN blob unknown to registry"):
        client.put_manifest(there, lonely.raw, lonely.media_type)


def test_the_fake_may_lag_after_a_put(
    client: Registry, fake: FakeRegistry, there: Reference, app: FakeImage
) -> None:
    fake.behaviour.lag = 2
    client.put_manifest(there.with_tag("new"), app.raw, app.media_type)
    assert [client.find(there.with_tag("new")) is None for _ in range(3)] == [True, True, False]
