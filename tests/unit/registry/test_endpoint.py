"""Endpoints: HTTP or HTTPS, origins, redirects, and who may receive a login."""

from __future__ import annotations

import pytest

from dfgen.errors import InputError
from dfgen.registry import RegistryOptions
from dfgen.registry.endpoint import Endpoint, Origin, is_loopback

OPTIONS = RegistryOptions(insecure=frozenset({"lab.example:5000"}), tls=frozenset({"localhost:5443"}))


@pytest.mark.parametrize(
    ("registry", "base"),
    [
        ("docker.io", "https://registry-1.docker.io"),
        ("registry.example", "https://registry.example"),
        ("lab.example:5000", "http://lab.example:5000"),
        ("lab.example", "https://lab.example"),
        ("localhost:5000", "http://localhost:5000"),
        ("localhost:5443", "https://localhost:5443"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("127.8.9.10:5000", "http://127.8.9.10:5000"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("[::2]:5000", "https://[::2]:5000"),
        ("128.0.0.1:5000", "https://128.0.0.1:5000"),
        ("localhost.example:5000", "https://localhost.example:5000"),
    ],
)
def test_plain_http_only_for_loopback_and_listed_registries(registry: str, base: str) -> None:
    assert Endpoint.of(registry, OPTIONS).base_url == base


@pytest.mark.parametrize("registry", ["localhost:99999", "[::::]:5000", "[1:2]"])
def test_invalid_registry_address(registry: str) -> None:
    with pytest.raises(InputError) as caught:
        Endpoint.of(registry, OPTIONS)
    assert str(caught.value) == f"{registry}: not a registry address, expected host or host:port"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("10.0.0.1", False),
        (None, False),
    ],
)
def test_loopback(host: str | None, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_origin_is_scheme_host_and_port() -> None:
    assert Origin.of("https://A.example/x") == Origin.of("https://a.example:443/y")
    assert Origin.of("https://a.example/") != Origin.of("http://a.example/")
    assert Origin.of("https://a.example/") != Origin.of("https://a.example:444/")


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://user:secret@a.example/x?token=y", "a.example"),
        ("http://[::1]:5000/", "[::1]:5000"),
        ("http://a.example:443", "a.example:443"),
    ],
)
def test_origin_as_text_hides_credentials_and_path(url: str, text: str) -> None:
    assert str(Origin.of(url)) == text


@pytest.mark.parametrize("url", ["ftp://a.example", "a.example", "https://", "https://a.example:0x/"])
def test_url_without_an_origin(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Origin.of(url)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/v2/a/blobs/uploads/1?state=x", "https://a.example/v2/a/blobs/uploads/1?state=x"),
        ("https://b.example/1", "https://b.example/1"),
        ("//b.example/1#part", "https://b.example/1"),
        ("https://user:secret@b.example:8443/1", "https://b.example:8443/1"),
    ],
)
def test_follow_location(location: str, target: str) -> None:
    assert Endpoint.of("a.example", OPTIONS).follow("https://a.example/v2/", location) == target


def test_follow_rejects_a_downgrade_to_http() -> None:
    with pytest.raises(ValueError, match=r"^downgrade from HTTPS to plain HTTP at b\.example$"):
        Endpoint.of("a.example", OPTIONS).follow("https://a.example/v2/", "http://x:y@b.example/1")


@pytest.mark.parametrize(
    ("registry", "realm", "expected"),
    [
        ("docker.io", "https://auth.docker.io/token", True),
        ("registry.example", "https://registry.example/token", True),
        ("lab.example:5000", "http://lab.example:5001/token", True),
        ("lab.example:5000", "https://elsewhere.example/token", False),
        ("lab.example:5000", "http://elsewhere.example/token", False),
        ("127.0.0.1:5000", "http://localhost:5001/token", True),
        ("127.0.0.1:5000", "http://elsewhere.example/token", False),
    ],
)
def test_may_receive_login(registry: str, realm: str, expected: bool) -> None:
    assert Endpoint.of(registry, OPTIONS).may_receive_login(Origin.of(realm)) is expected
