"""Token servers: their responses and failures, and which host receives which secret."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dfgen.oci.reference import Reference
from dfgen.registry import Login, RateLimited, Refused, Registry, Unauthorized
from tests.fakes.detour import Detour
from tests.fakes.images import FakeImage
from tests.fakes.registry import Auth, Behaviour, FakeRegistry, Fault
from tests.unit.registry.conftest import ALICE, HEADER, Logins, MakeClient


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry(Behaviour(auth=Auth(kind="token"))) as registry:
        yield registry


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"token": 3}', b'{"token": "a\\nb"}', b"{}", b" " * (2**20 + 1), b"[" * 10_000]
)
def test_token_server_returns_no_token(
    body: bytes, client: Registry, fake: FakeRegistry, reference: Reference
) -> None:
    fake.script("GET", "/token", Fault(body=body))
    with pytest.raises(Refused) as caught:
        client.manifest(reference)
    assert str(caught.value) == (
        f"{fake.address}: cannot pull {reference}: its token server {fake.address} returned no token"
    )


def test_token_server_is_retried(client: Registry, fake: FakeRegistry, reference: Reference) -> None:
    fake.script("GET", "/token", Fault(status=503), times=2)
    client.resolve(reference)
    assert fake.count("GET", "/token") == 3


def test_token_server_rate_limit(make: MakeClient, fake: FakeRegistry, reference: Reference) -> None:
    fake.script("GET", "/token", Fault(status=429), times=None)
    with pytest.raises(RateLimited):
        make(deadline=1).find(reference)


def test_token_server_error_is_reported(client: Registry, fake: FakeRegistry, reference: Reference) -> None:
    fake.script("GET", "/token", Fault(status=405, body=b"no"))
    with pytest.raises(Refused) as caught:
        client.manifest(reference)
    assert str(caught.value) == (
        f"{fake.address}: cannot pull {reference}: "
        f"its token server {fake.address} returned 405 Method Not Allowed: no"
    )


@pytest.fixture
def hub(fake: FakeRegistry, app: FakeImage) -> Iterator[Detour]:
    """Imitate Docker Hub: the registry, the token server and the blob storage are three hosts."""
    with FakeRegistry() as storage:
        fake.behaviour.auth.realm = "https://auth.docker.io/token"
        fake.behaviour.redirect = "https://storage.example"
        for registry in (fake, storage):
            registry.add_image("library/app", app, "1.0")
        yield Detour(
            {
                "https://registry-1.docker.io": fake.url,
                "https://auth.docker.io": fake.url,
                "https://storage.example": storage.url,
            }
        )


def test_credentials_go_only_to_the_token_server_and_the_token_only_to_the_registry(
    make: MakeClient, hub: Detour, app: FakeImage
) -> None:
    logins = Logins(ALICE)
    client = make(logins, hub)
    reference = Reference.parse("app:1.0")
    client.blob(reference.repository, app.manifest.config)
    assert hub.authorizations("https://registry-1.docker.io") == [None, "Bearer token-1"]
    assert hub.authorizations("https://auth.docker.io") == [HEADER]
    assert hub.authorizations("https://storage.example") == [None]
    assert logins.asked == {"docker.io"}


def test_errors_name_docker_hub_as_in_references(make: MakeClient, hub: Detour, fake: FakeRegistry) -> None:
    fake.behaviour.auth.private.add("library/app")
    with pytest.raises(Unauthorized) as caught:
        make(transport=hub).resolve(Reference.parse("app:1.0"))
    assert str(caught.value) == (
        "docker.io: unauthorized to pull docker.io/library/app:1.0; log in with `docker login docker.io`"
    )


@pytest.mark.parametrize("login", [None, ALICE])
def test_https_registry_with_a_plain_http_realm(
    login: Login | None, make: MakeClient, hub: Detour, fake: FakeRegistry
) -> None:
    fake.behaviour.auth.realm = "http://auth.docker.io/token"
    with pytest.raises(Refused) as caught:
        make(Logins(login) if login else None, hub).manifest(Reference.parse("app:1.0"))
    assert str(caught.value) == (
        "docker.io: cannot pull docker.io/library/app:1.0: "
        "its token server was rejected: downgrade from HTTPS to plain HTTP at auth.docker.io"
    )
    assert hub.authorizations("http://auth.docker.io") == []


@pytest.mark.parametrize("realm", ["http://elsewhere.example/token", "https://elsewhere.example/token"])
def test_realm_on_another_host_of_a_plain_http_registry_receives_no_login(
    realm: str, make: MakeClient, fake: FakeRegistry, reference: Reference
) -> None:
    fake.behaviour.auth.realm = realm
    with pytest.raises(Refused) as caught:
        make(Logins(ALICE)).manifest(reference)
    assert str(caught.value) == (
        f"{fake.address}: cannot pull {reference}: its token server elsewhere.example is another host "
        "and not both use HTTPS, so the login was not sent"
    )


def test_realm_keeps_its_query(client: Registry, fake: FakeRegistry, reference: Reference) -> None:
    fake.behaviour.auth.realm = f"http://user:secret@{fake.address}/token?account=x"
    client.resolve(reference)
    call = fake.seen[1].call
    assert call.query == [("account", "x"), ("service", "fake"), ("scope", "repository:team/app:pull")]
    assert "authorization" not in call.headers
