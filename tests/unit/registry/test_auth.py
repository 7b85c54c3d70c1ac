"""Authorization: as few requests as the protocol allows, and secrets go only to the token server."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from dfgen.oci.digest import Digest
from dfgen.oci.manifest import Descriptor
from dfgen.oci.reference import Reference, Repository
from dfgen.registry import Forbidden, Login, Missing, Refused, Registry, Unauthorized
from tests.fakes.clock import FakeClock
from tests.fakes.images import FakeImage
from tests.fakes.registry import Auth, Behaviour, FakeRegistry, Fault
from tests.unit.registry.conftest import ALICE, HEADER, Logins, MakeClient

MALLORY = Login(username="mallory", password="guess-guess")


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry(Behaviour(auth=Auth(kind="token"))) as registry:
        yield registry


def test_first_resolve_needs_three_requests_and_the_next_one(
    client: Registry, fake: FakeRegistry, reference: Reference
) -> None:
    client.resolve(reference)
    assert fake.log() == [
        "HEAD /v2/team/app/manifests/1.0 401",
        "GET /token 200",
        "HEAD /v2/team/app/manifests/1.0 200",
    ]
    fake.forget()
    client.resolve(reference)
    assert fake.log() == ["HEAD /v2/team/app/manifests/1.0 200"]


def test_another_repository_needs_a_token_but_no_second_401(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    client.resolve(reference)
    fake.add_image("team/other", app, "1.0")
    fake.forget()
    client.resolve(Reference(Repository(fake.address, "team/other"), "1.0"))
    assert fake.log() == ["GET /token 200", "HEAD /v2/team/other/manifests/1.0 200"]


def test_reads_request_pull_and_writes_push(
    make: MakeClient, fake: FakeRegistry, reference: Reference
) -> None:
    client = make(Logins(ALICE))
    client.resolve(reference)
    client.upload(reference.repository, Descriptor.of(b"blob", "x"), b"blob")
    assert fake.behaviour.auth.issued == [
        {("team/app", "pull")},
        {("team/app", "pull"), ("team/app", "push")},
    ]


def test_token_with_more_scopes_is_reused_for_fewer(
    make: MakeClient, fake: FakeRegistry, reference: Reference
) -> None:
    client = make(Logins(ALICE))
    client.upload(reference.repository, Descriptor.of(b"blob", "x"), b"blob")
    client.resolve(reference)
    assert fake.count("GET", "/token") == 1


def test_threads_share_one_challenge_and_one_token(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage
) -> None:
    barrier, found = threading.Barrier(20), []

    def resolve() -> None:
        barrier.wait()
        found.append(client.resolve(reference).digest)

    threads = [threading.Thread(target=resolve) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [Digest.of(app.raw)] * 20
    assert fake.count("GET", "/token") == 1
    assert [seen.status for seen in fake.seen].count(401) == 1
    assert fake.count() == 22


def test_token_is_renewed_before_it_expires(
    client: Registry, fake: FakeRegistry, reference: Reference, time: FakeClock
) -> None:
    client.resolve(reference)
    time.sleep(289)
    client.resolve(reference)
    assert fake.count("GET", "/token") == 1
    time.sleep(1)
    client.resolve(reference)
    assert fake.count("GET", "/token") == 2
    assert [seen.status for seen in fake.seen].count(401) == 1


def test_token_without_expires_in_lasts_a_minute(
    client: Registry, fake: FakeRegistry, reference: Reference, time: FakeClock
) -> None:
    fake.behaviour.auth.lifetime = None
    client.resolve(reference)
    time.sleep(53)
    client.resolve(reference)
    assert fake.count("GET", "/token") == 1
    time.sleep(1)
    client.resolve(reference)
    assert fake.count("GET", "/token") == 2


@pytest.mark.parametrize("lifetime", ["1" + "0" * 400, "1e999", "NaN", '"soon"', "[]"], ids=range(5))
def test_token_with_an_invalid_expires_in_lasts_a_minute(
    lifetime: str, client: Registry, fake: FakeRegistry, reference: Reference, time: FakeClock
) -> None:
    fake.script("GET", "/token", Fault(body=f'{{"token":"token-1","expires_in":{lifetime}}}'.encode()))
    client.resolve(reference)
    time.passed = 53
    client.resolve(reference)
    assert fake.count("GET", "/token") == 1
    time.passed = 55
    client.resolve(reference)
    assert fake.count("GET", "/token") == 2


def test_revoked_token_is_renewed_on_401(client: Registry, fake: FakeRegistry, reference: Reference) -> None:
    client.resolve(reference)
    fake.behaviour.auth.revoke()
    fake.forget()
    client.resolve(reference)
    assert [str(seen.status) for seen in fake.seen] == ["401", "200", "200"]


def test_token_may_expire_during_an_upload(
    make: MakeClient, fake: FakeRegistry, reference: Reference
) -> None:
    fake.behaviour.auth.uses = 2
    blob, client = b"0123456789" * 100_000, make(Logins(ALICE))
    client.upload(reference.repository, Descriptor.of(blob, "x"), blob)
    assert fake.blobs["team/app"][str(Digest.of(blob))] == blob
    assert fake.log() == [
        f"HEAD /v2/team/app/blobs/{Digest.of(blob)} 401",
        "GET /token 200",
        f"HEAD /v2/team/app/blobs/{Digest.of(blob)} 404",
        "POST /v2/team/app/blobs/uploads/ 202",
        "PUT /v2/team/app/blobs/uploads/session-1 401",
        "GET /token 200",
        "PUT /v2/team/app/blobs/uploads/session-1 201",
    ]


def test_login_is_sent_only_to_the_token_server(
    make: MakeClient, fake: FakeRegistry, reference: Reference
) -> None:
    fake.behaviour.auth.private.add("team/app")
    make(Logins(ALICE)).resolve(reference)
    sent = [seen.call.headers.get("authorization") for seen in fake.seen]
    assert sent == [None, HEADER, "Bearer token-1"]


def test_identity_token_is_sent_with_post(make: MakeClient, fake: FakeRegistry, reference: Reference) -> None:
    fake.behaviour.auth.private.add("team/app")
    make(Logins(Login(identity_token="refresh-me"))).resolve(reference)
    post = fake.seen[1].call
    assert (post.method, post.path, post.headers["content-type"]) == (
        "POST",
        "/token",
        "application/x-www-form-urlencoded",
    )
    assert post.body.decode() == (
        "grant_type=refresh_token&client_id=dfgen&service=fake"
        "&scope=repository%3Ateam%2Fapp%3Apull&refresh_token=refresh-me"
    )


@pytest.mark.parametrize("login", [MALLORY, Login(identity_token="stolen-token")])
def test_rejected_login_is_reported_without_its_secret(
    login: Login, make: MakeClient, fake: FakeRegistry, reference: Reference
) -> None:
    with pytest.raises(Unauthorized) as caught:
        make(Logins(login)).resolve(reference)
    assert str(caught.value) == (
        f"{fake.address}: unauthorized to pull {reference}: it rejected the login from the Docker configuration; "
        f"log in again with `docker login {fake.address}`"
    )
    assert "guess" not in repr(login)
    assert "stolen" not in repr(login)
    assert fake.count() == 2


def test_anonymous_user_is_advised_to_log_in(
    client: Registry, fake: FakeRegistry, reference: Reference
) -> None:
    fake.behaviour.auth.private.add("team/app")
    with pytest.raises(Unauthorized) as caught:
        client.resolve(reference)
    assert str(caught.value) == (
        f"{fake.address}: unauthorized to pull {reference}; log in with `docker login {fake.address}`"
    )
    assert fake.count() == 3


def test_403_is_forbidden(client: Registry, fake: FakeRegistry, reference: Reference) -> None:
    body = b'{"errors": [{"code": "DENIED", "message": "requested access is denied"}]}'
    fake.script("GET", "/manifests/", Fault(status=403, body=body))
    with pytest.raises(Forbidden) as caught:
        client.manifest(reference)
    assert str(caught.value) == (
        f"{fake.address}: forbidden to pull {reference}: DENIED requested access is denied; "
        f"ask for access, or log in as another user with `docker login {fake.address}`"
    )


def test_basic_challenge_is_cached(make: MakeClient, fake: FakeRegistry, reference: Reference) -> None:
    fake.behaviour.auth.kind = "basic"
    client = make(Logins(ALICE))
    client.resolve(reference)
    client.resolve(reference)
    assert [seen.status for seen in fake.seen] == [401, 200, 200]


def test_basic_without_a_login(client: Registry, fake: FakeRegistry, reference: Reference) -> None:
    fake.behaviour.auth.kind = "basic"
    with pytest.raises(Unauthorized, match=r"unauthorized to pull .*; log in with `docker login 127"):
        client.resolve(reference)
    assert fake.count() == 1


def test_basic_with_a_rejected_login(make: MakeClient, fake: FakeRegistry, reference: Reference) -> None:
    fake.behaviour.auth.kind = "basic"
    client = make(Logins(MALLORY))
    for _ in range(2):
        with pytest.raises(Unauthorized, match="it rejected the login from the Docker configuration"):
            client.resolve(reference)


def test_unsupported_scheme(client: Registry, fake: FakeRegistry, reference: Reference) -> None:
    fake.script("GET", "/manifests/", Fault(status=401, headers={"WWW-Authenticate": "Negotiate"}))
    with pytest.raises(Refused) as caught:
        client.manifest(reference)
    assert str(caught.value) == (
        f"{fake.address}: cannot pull {reference}: it requires Negotiate authentication, expected Bearer or Basic"
    )


def test_bearer_challenge_without_realm(client: Registry, fake: FakeRegistry, reference: Reference) -> None:
    fake.script("GET", "", Fault(status=401, headers={"WWW-Authenticate": 'Bearer service="x"'}))
    with pytest.raises(Refused) as caught:
        client.manifest(reference)
    assert str(caught.value) == (
        f"{fake.address}: cannot pull {reference}: it requires a token but names no token server "
        "(no realm in WWW-Authenticate)"
    )


def test_401_without_a_challenge(client: Registry, fake: FakeRegistry, reference: Reference) -> None:
    fake.script("GET", "/manifests/", Fault(status=401))
    with pytest.raises(
        Refused, match="it requires a login but names no authentication scheme, expected Bearer or Basic"
    ):
        client.manifest(reference)


def test_missing_repository_with_a_token(client: Registry, fake: FakeRegistry) -> None:
    with pytest.raises(Missing):
        client.resolve(Reference.parse(f"{fake.address}/no/such:1"))
