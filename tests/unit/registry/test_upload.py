"""Uploads: skipped, mounted or sent, and not sent again if only the response was lost."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dfgen.errors import ExternalError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import OCI_MANIFEST, Descriptor
from dfgen.oci.reference import Reference, Repository
from dfgen.registry import Corrupt, Forbidden, Refused, Registry, Unreachable, Uploaded
from tests.fakes.images import image
from tests.fakes.registry import FakeRegistry, Fault
from tests.unit.registry.conftest import DATA, LAYER, UPLOADS, MakeClient, steps, stored


def test_existing_blob_is_skipped(client: Registry, fake: FakeRegistry, repository: Repository) -> None:
    fake.add_blob("team/app", DATA)
    assert client.upload(repository, LAYER, DATA) is Uploaded.SKIPPED
    assert steps(fake) == ["HEAD 200"]


@pytest.mark.parametrize("in_memory", [True, False])
def test_blob_is_sent_in_one_request(
    in_memory: bool, client: Registry, fake: FakeRegistry, repository: Repository, file: Path
) -> None:
    assert client.upload(repository, LAYER, DATA if in_memory else file) is Uploaded.UPLOADED
    assert stored(fake) == DATA
    assert steps(fake) == ["HEAD 404", "POST 202", "PUT 201"]
    assert fake.seen[-1].call.headers["content-length"] == str(len(DATA))


def test_empty_blob(client: Registry, fake: FakeRegistry, repository: Repository) -> None:
    assert client.upload(repository, Descriptor.of(b"", "x"), b"") is Uploaded.UPLOADED
    assert fake.blobs["team/app"] == {str(Digest.of(b"")): b""}


def test_blob_is_mounted(client: Registry, fake: FakeRegistry, repository: Repository) -> None:
    fake.add_blob("team/base", DATA)
    other = Repository(fake.address, "team/base")
    elsewhere = Repository("registry.example", "team/base")
    done = client.upload(repository, LAYER, DATA, mount_from=[elsewhere, repository, other])
    assert done is Uploaded.MOUNTED
    assert stored(fake) == DATA
    assert steps(fake) == ["HEAD 404", "POST 201", "HEAD 200"]


def test_false_mount_becomes_an_upload(client: Registry, fake: FakeRegistry, repository: Repository) -> None:
    fake.behaviour.false_mounts = True
    done = client.upload(repository, LAYER, DATA, mount_from=[Repository(fake.address, "team/base")])
    assert done is Uploaded.UPLOADED
    assert stored(fake) == DATA


def test_registry_without_mounts_gets_the_blob_in_the_session_that_it_began(
    client: Registry, fake: FakeRegistry, repository: Repository
) -> None:
    fake.behaviour.mounts = False
    fake.add_blob("team/base", DATA)
    done = client.upload(repository, LAYER, DATA, mount_from=[Repository(fake.address, "team/base")])
    assert done is Uploaded.UPLOADED
    assert steps(fake) == ["HEAD 404", "POST 202", "PUT 201"]


@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_refused_mount_becomes_an_upload(
    status: int, client: Registry, fake: FakeRegistry, repository: Repository
) -> None:
    fake.script("POST", UPLOADS, Fault(status=status))
    done = client.upload(repository, LAYER, DATA, mount_from=[Repository(fake.address, "team/base")])
    assert done is Uploaded.UPLOADED


def test_unauthorized_mount_becomes_an_upload(
    client: Registry, fake: FakeRegistry, repository: Repository
) -> None:
    fake.add_blob("team/base", DATA)
    auth = fake.behaviour.auth
    auth.kind, auth.private, auth.anonymous = "token", {"team/base"}, frozenset({"pull", "push"})
    done = client.upload(repository, LAYER, DATA, mount_from=[Repository(fake.address, "team/base")])
    assert done is Uploaded.UPLOADED
    assert stored(fake) == DATA


def test_lost_response_needs_a_check_but_no_second_upload(
    client: Registry, fake: FakeRegistry, repository: Repository
) -> None:
    fake.script("PUT", UPLOADS, Fault(reset=True))
    assert client.upload(repository, LAYER, DATA) is Uploaded.UPLOADED
    assert steps(fake) == ["HEAD 404", "POST 202", "PUT 0", "HEAD 200"]


def test_progress_subtracts_bytes_to_send_again(
    client: Registry, fake: FakeRegistry, repository: Repository, file: Path
) -> None:
    fake.script("PUT", UPLOADS, Fault(status=503, applied=False))
    sent: list[int] = []
    client.upload(repository, LAYER, file, progress=sent.append)
    assert stored(fake) == DATA
    assert sum(sent) == len(DATA)
    assert -len(DATA) in sent


def test_file_is_read_in_small_parts(client: Registry, repository: Repository, file: Path) -> None:
    sent: list[int] = []
    client.upload(repository, LAYER, file, progress=sent.append)
    assert max(sent) <= 256 * 1024


def test_truncated_file_is_not_a_network_error(client: Registry, repository: Repository, file: Path) -> None:
    file.write_bytes(DATA[:1000])
    with pytest.raises(ExternalError) as caught:
        client.upload(repository, LAYER, file)
    assert str(caught.value) == f"{file}: truncated at byte 1000, expected 1024000 bytes; rebuild the image"


def test_missing_file_is_not_a_network_error(client: Registry, repository: Repository, file: Path) -> None:
    file.unlink()
    with pytest.raises(ExternalError) as caught:
        client.upload(repository, LAYER, file)
    assert str(caught.value) == f"{file}: cannot be read: No such file or directory"


def test_registry_refuses_bytes_that_do_not_match_their_digest(
    client: Registry, fake: FakeRegistry, repository: Repository
) -> None:
    with pytest.raises(Refused) as caught:
        client.upload(repository, LAYER, b"!" + DATA[1:])
    assert str(caught.value) == (
        f"{fake.address}: cannot push the blob {repository}@{LAYER.digest}: it returned 400 Bad Request: "
        "DIGEST_INVALID provided digest did not match uploaded content"
    )
    assert stored(fake) is None


def test_upload_response_with_another_digest_is_corrupt(
    client: Registry, fake: FakeRegistry, repository: Repository
) -> None:
    other = Digest.of(b"other")
    fake.script("PUT", UPLOADS, Fault(headers={"Docker-Content-Digest": str(other)}))
    with pytest.raises(Corrupt, match=f"got {other}, expected {LAYER.digest}; the response was discarded"):
        client.upload(repository, LAYER, DATA)


def test_upload_response_with_an_invalid_digest_is_accepted(
    client: Registry, fake: FakeRegistry, repository: Repository
) -> None:
    fake.script("PUT", UPLOADS, Fault(headers={"Docker-Content-Digest": "yes"}))
    assert client.upload(repository, LAYER, DATA) is Uploaded.UPLOADED


def test_response_is_not_201(client: Registry, fake: FakeRegistry, repository: Repository) -> None:
    fake.script("PUT", "/manifests/", Fault(status=204), times=2)
    fake.script("PUT", UPLOADS, Fault(status=204, applied=False), times=None)
    with pytest.raises(Refused, match=r"it returned 204 No Content, expected 201 Created$"):
        client.put_manifest(Reference(repository, "1.0"), image().raw, OCI_MANIFEST)
    with pytest.raises(Refused, match=r"it returned 204, expected 201 Created$"):
        client.upload(repository, LAYER, DATA)


def test_stored_blob_is_accepted_whatever_the_status(
    client: Registry, fake: FakeRegistry, repository: Repository
) -> None:
    fake.script("PUT", UPLOADS, Fault(status=204), times=None)
    assert client.upload(repository, LAYER, DATA) is Uploaded.UPLOADED
    assert stored(fake) == DATA


@pytest.mark.parametrize("status", [200, 202])
def test_manifest_put_accepts_other_success_statuses(
    status: int, client: Registry, fake: FakeRegistry, repository: Repository
) -> None:
    fake.script("PUT", "/manifests/", Fault(status=status))
    fake.behaviour.strict = False
    assert client.put_manifest(Reference(repository, "1.0"), image().raw, OCI_MANIFEST)
    assert fake.tags["team/app"]["1.0"] == str(image().descriptor.digest)


def test_push_is_forbidden(client: Registry, fake: FakeRegistry, repository: Repository) -> None:
    fake.script("POST", UPLOADS, Fault(status=403))
    with pytest.raises(Forbidden) as caught:
        client.upload(repository, LAYER, DATA)
    assert str(caught.value) == (
        f"{fake.address}: forbidden to push the blob {repository}@{LAYER.digest}; "
        f"ask for access, or log in as another user with `docker login {fake.address}`"
    )


def test_read_only_registry(client: Registry, fake: FakeRegistry, repository: Repository) -> None:
    fake.script("", "", Fault(status=405), times=None)
    with pytest.raises(Refused) as caught:
        client.upload(repository, LAYER, DATA)
    assert str(caught.value) == (
        f"{fake.address}: cannot push the blob {repository}@{LAYER.digest}: it returned 405 Method Not "
        "Allowed; it may be read-only or a mirror; push to another registry"
    )
    assert fake.count("PUT") == fake.count("PATCH") == 0


def test_failing_upload_ends_at_its_deadline(
    make: MakeClient, fake: FakeRegistry, repository: Repository
) -> None:
    fake.script("PUT", UPLOADS, Fault(reset=True, applied=False), times=None)
    with pytest.raises(Unreachable, match=r"unreachable: the connection was reset \(5 tries in 3\.8 s\)"):
        make(deadline=4).upload(repository, Descriptor.of(b"x", "x"), b"x")


def test_threads_upload_concurrently(client: Registry, fake: FakeRegistry, repository: Repository) -> None:
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
