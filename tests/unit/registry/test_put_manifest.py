"""Writing manifests: under a tag or digest, and only with the expected digest."""

from __future__ import annotations

import pytest

from dfgen.errors import InputError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import OCI_INDEX
from dfgen.oci.reference import Reference
from dfgen.registry import Corrupt, Refused, Registry
from tests.fakes.images import FakeImage, image, index_of
from tests.fakes.registry import FakeRegistry, Fault


def test_put_by_tag(client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage) -> None:
    raw = index_of([app.descriptor])
    assert client.put_manifest(reference.with_tag("all"), raw, OCI_INDEX) == Digest.of(raw)
    assert fake.log() == ["PUT /v2/team/app/manifests/all 201"]
    assert fake.seen[0].call.headers["content-type"] == OCI_INDEX
    assert client.manifest(reference.with_tag("all")).raw == raw


def test_put_by_digest(client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage) -> None:
    raw = index_of([app.descriptor])
    digest = Digest.of(raw)
    assert client.put_manifest(Reference(reference.repository, digest=digest), raw, OCI_INDEX) == digest
    assert fake.log() == [f"PUT /v2/team/app/manifests/{digest} 201"]


def test_put_with_a_wrong_digest_sends_nothing(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    other = reference.at(Digest.of(b"other"))
    with pytest.raises(InputError) as caught:
        client.put_manifest(other, app.raw, app.media_type)
    assert str(caught.value) == (f"{other}: the manifest to push has the digest {Digest.of(app.raw)}")
    assert fake.count() == 0


def test_put_response_with_another_digest_is_corrupt(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    other = Digest.of(b"other")
    fake.script("PUT", "/manifests/", Fault(headers={"Docker-Content-Digest": str(other)}), times=2)
    with pytest.raises(Corrupt) as caught:
        client.put_manifest(reference, app.raw, app.media_type)
    assert str(caught.value) == (
        f"{fake.address}: cannot push {reference}: got {other}, expected {Digest.of(app.raw)}; "
        "the response was discarded; try again, and report it to the registry's operator if it persists"
    )


def test_manifest_without_its_blobs_is_refused(
    client: Registry, fake: FakeRegistry, reference: Reference
) -> None:
    lonely = image(layers=[b"nobody has this"])
    with pytest.raises(Refused, match="MANIFEST_BLOB_UNKNOWN blob unknown to registry"):
        client.put_manifest(reference, lonely.raw, lonely.media_type)


def test_fake_may_lag_after_a_put(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    fake.behaviour.lag = 2
    client.put_manifest(reference.with_tag("new"), app.raw, app.media_type)
    assert [client.find(reference.with_tag("new")) is None for _ in range(3)] == [True, True, False]


def test_not_found_does_not_concern_the_name(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    fake.script("PUT", "/manifests/", Fault(status=404, body=b"404 page not found"))
    with pytest.raises(Refused) as caught:
        client.put_manifest(reference, app.raw, app.media_type)
    assert str(caught.value) == (
        f"{fake.address}: cannot push {reference}: it returned 404 Not Found: 404 page not found; it may not"
        f" accept the media type {app.media_type}; check what it supports, or push to another registry"
    )
