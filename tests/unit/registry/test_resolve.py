"""Resolving and reading manifests: one HEAD, or one GET if that is not enough."""

from __future__ import annotations

import gzip

import pytest

from dfgen.errors import CheckError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import OCI_INDEX, Index, Manifest
from dfgen.oci.reference import Reference
from dfgen.registry import Corrupt, Missing, Refused, Registry
from tests.fakes.images import FakeImage, image, index_of
from tests.fakes.registry import FakeRegistry, Fault

NOTHING = Digest.of(b"")


def test_tag_is_resolved_with_one_head(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    found = client.resolve(reference)
    assert (found.digest, found.media_type, found.size) == (Digest.of(app.raw), app.media_type, len(app.raw))
    assert fake.log() == ["HEAD /v2/team/app/manifests/1.0 200"]


def test_digest_takes_precedence_over_the_tag(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    digest = Digest.of(app.raw)
    assert client.resolve(reference.at(digest)).digest == digest
    assert fake.log() == [f"HEAD /v2/team/app/manifests/{digest} 200"]


def test_docker_and_oci_types_are_accepted(
    client: Registry, fake: FakeRegistry, reference: Reference
) -> None:
    client.resolve(reference)
    assert fake.seen[0].call.headers["accept"].split(", ") == [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]


def test_registry_without_head_gets_get_from_then_on(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    fake.behaviour.head = False
    assert client.resolve(reference).digest == client.resolve(reference).digest == Digest.of(app.raw)
    assert [line.split()[0] for line in fake.log()] == ["HEAD", "GET", "GET"]


@pytest.mark.parametrize(
    "spoilt",
    [
        {"Docker-Content-Digest": None},
        {"Docker-Content-Digest": "sha256:short"},
        {"Content-Type": "text/html"},
        {"Content-Length": "unknown"},
    ],
)
def test_incomplete_head_is_followed_by_a_get(
    spoilt: dict[str, str | None], client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    fake.script("HEAD", "/manifests/", Fault(headers=spoilt))
    found = client.resolve(reference)
    assert (found.digest, found.media_type, found.size) == (Digest.of(app.raw), app.media_type, len(app.raw))
    assert [line.split()[0] for line in fake.log()] == ["HEAD", "GET"]


def test_wrong_digest_header_is_corrupt(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    pinned = reference.at(Digest.of(app.raw))
    fake.script("HEAD", "/manifests/", Fault(headers={"Docker-Content-Digest": str(NOTHING)}), times=None)
    with pytest.raises(Corrupt) as caught:
        client.resolve(pinned)
    assert str(caught.value) == (
        f"{fake.address}: cannot pull {pinned}: got {NOTHING}, expected {pinned.digest}; "
        "the response was discarded; try again, and report it to the registry's operator if it persists"
    )
    assert fake.count() == 2


def test_missing_tag(client: Registry, fake: FakeRegistry, reference: Reference) -> None:
    with pytest.raises(Missing) as caught:
        client.resolve(reference.with_tag("2.0"))
    assert str(caught.value) == (
        f"{fake.address}: cannot pull {fake.address}/team/app:2.0: not found; check the name and the tag"
    )
    assert fake.count() == 1


def test_find_returns_none_only_for_a_missing_tag(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    assert client.find(reference.with_tag("2.0")) is None
    found = client.find(reference)
    assert found is not None
    assert found.digest == Digest.of(app.raw)


def test_manifest_keeps_its_bytes(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    found = client.manifest(reference)
    assert isinstance(found, Manifest)
    assert found.raw == app.raw
    assert fake.log() == ["GET /v2/team/app/manifests/1.0 200"]


def test_docker_manifest(client: Registry, fake: FakeRegistry, reference: Reference) -> None:
    docker = image(docker=True)
    fake.add_image("team/app", docker, "docker")
    found = client.manifest(reference.with_tag("docker"))
    assert (found.raw, found.media_type) == (docker.raw, docker.media_type)


def test_index(client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage) -> None:
    raw = index_of([app.descriptor])
    fake.add_manifest("team/app", raw, OCI_INDEX, "all")
    found = client.manifest(reference.with_tag("all"))
    assert isinstance(found, Index)
    assert [entry.digest for entry in found.manifests] == [app.descriptor.digest]


def test_corrupt_bytes_of_a_tag_do_not_match_the_header(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    fake.script("GET", "/manifests/", Fault(corrupt=True), times=None)
    with pytest.raises(
        Corrupt, match=f"got sha256:[0-9a-f]+, expected {Digest.of(app.raw)}; the response was discarded"
    ):
        client.manifest(reference)


def test_corrupt_bytes_of_a_digest_are_detected_without_a_header(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    fake.behaviour.digest_header = False
    fake.script("GET", "/manifests/", Fault(corrupt=True), times=None)
    with pytest.raises(Corrupt, match=f"expected {Digest.of(app.raw)}"):
        client.manifest(reference.at(Digest.of(app.raw)))


def test_corrupt_bytes_are_fetched_again(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    fake.script("GET", "/manifests/", Fault(corrupt=True))
    assert client.manifest(reference).raw == app.raw
    assert fake.count("GET") == 2


def test_sha512_pin_is_checked(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    pin = Digest.of(app.raw, "sha512")
    fake.manifests["team/app"][str(pin)] = (app.raw, app.media_type)
    assert client.manifest(reference.at(pin)).raw == app.raw
    fake.behaviour.head = False
    assert client.resolve(reference.at(pin)).digest == pin


def test_text_instead_of_a_manifest(client: Registry, fake: FakeRegistry, reference: Reference) -> None:
    fake.add_manifest("team/app", b"welcome", "text/plain", "text")
    text = reference.with_tag("text")
    with pytest.raises(Refused) as caught:
        client.resolve(text)
    assert str(caught.value) == (
        f"{fake.address}: cannot pull {text}: it returned 200 OK with damaged content (Expecting value: line"
        " 1 column 1 (char 0)), expected a manifest; check for a proxy or login page in front of it, and try again"
    )
    pinned = text.at(Digest.of(b"welcome"))  # its bytes were verified, so that is what the registry has
    with pytest.raises(CheckError, match="not an image manifest or index: Expecting value"):
        client.manifest(pinned)


def test_html_page_instead_of_a_manifest(client: Registry, fake: FakeRegistry, reference: Reference) -> None:
    page = Fault(body=b"<html>log in", headers={"Content-Type": "text/html", "Docker-Content-Digest": None})
    fake.script("", "/manifests/", page, times=None)
    with pytest.raises(Refused) as caught:
        client.resolve(reference)
    assert str(caught.value) == (
        f"{fake.address}: cannot pull {reference}: it returned 200 OK with an HTML page, expected a "
        "manifest; check for a proxy or login page in front of it, and try again"
    )


def test_compression_by_a_proxy_is_undone(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    packed = {"Content-Encoding": "gzip"}
    fake.script("GET", "/manifests/", Fault(body=gzip.compress(app.raw), headers=packed))
    assert client.manifest(reference).raw == app.raw
    fake.script(
        "GET", "/manifests/", Fault(headers=packed)
    )  # the header is wrong: the body is not compressed
    assert client.manifest(reference).raw == app.raw


def test_gzip_bomb_is_refused(client: Registry, fake: FakeRegistry, reference: Reference) -> None:
    bomb = gzip.compress(b" " * (4 * 2**20 + 1))
    fake.script("GET", "/manifests/", Fault(body=bomb, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(Refused, match=r"the manifest is larger than 4 MiB$"):
        client.manifest(reference)


def test_wrong_content_type_does_not_matter(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    fake.script("", "/manifests/", Fault(headers={"Content-Type": "application/octet-stream"}), times=None)
    assert client.resolve(reference).media_type == app.media_type


@pytest.mark.parametrize("declared", [True, False])
def test_oversized_manifest_is_refused_early(
    declared: bool, client: Registry, fake: FakeRegistry, reference: Reference
) -> None:
    headers = {"Content-Length": str(10**12)} if declared else {"Content-Length": None, "Connection": "close"}
    fake.script("GET", "/manifests/", Fault(headers=headers, body=b" " * (4 * 2**20 + 1)))
    with pytest.raises(Refused) as caught:
        client.manifest(reference)
    assert str(caught.value) == f"{fake.address}: cannot pull {reference}: the manifest is larger than 4 MiB"


@pytest.mark.parametrize("length", ["\xb2", "9" * 5000, "many"])
def test_invalid_content_length_is_ignored(
    length: str, client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    fake.script("", "/manifests/", Fault(headers={"Content-Length": length, "Connection": "close"}), times=2)
    assert client.resolve(reference).digest == app.descriptor.digest
