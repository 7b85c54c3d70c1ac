"""The transport: TLS, certificate authorities, proxies, and lazy imports."""

from __future__ import annotations

import ssl
import subprocess
import sys
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from dfgen.errors import InputError
from dfgen.oci.reference import Reference
from dfgen.registry import HttpTransport, RegistryOptions, Request, Unreachable
from dfgen.registry.retry import TransientError
from tests.fakes.certificates import Certificates
from tests.fakes.images import FakeImage
from tests.fakes.registry import FakeRegistry
from tests.unit.registry.conftest import MakeClient

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("authority"))


def test_heavy_libraries_load_with_the_first_request() -> None:
    script = (
        "import sys; from dfgen.registry import Registry; Registry()\n"
        "print(*sorted({'urllib3', 'docker', 'requests', 'ssl'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_user_agent(fake: FakeRegistry) -> None:
    response = HttpTransport(RegistryOptions()).send(Request(method="GET", url=f"{fake.url}/v2/"))
    response.close()
    assert (response.status, response.headers["content-length"]) == (200, "0")
    assert fake.seen[0].call.headers["user-agent"] == "dfgen"


def test_private_certificate_authority(make: MakeClient, certificates: Certificates, app: FakeImage) -> None:
    with FakeRegistry(tls=certificates.context()) as fake:
        fake.add_image("team/app", app, "1.0")
        client = make(tls=frozenset({fake.address}), ca_file=certificates.authority)
        assert client.resolve(Reference.parse(f"{fake.address}/team/app:1.0")).size == len(app.raw)


def test_unknown_certificate_authority(make: MakeClient, certificates: Certificates) -> None:
    with FakeRegistry(tls=certificates.context()) as fake:
        with pytest.raises(Unreachable) as caught:
            make(tls=frozenset({fake.address})).resolve(Reference.parse(f"{fake.address}/team/app:1.0"))
        assert str(caught.value) == (
            f"{fake.address}: unreachable: its certificate is not trusted: "
            "unable to get local issuer certificate (1 try in 0.0 s); "
            "set `ca_file` in the catalog to the certificate of its authority"
        )


def test_server_without_a_common_cipher(make: MakeClient, certificates: Certificates) -> None:
    context = certificates.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ADH:@SECLEVEL=0")
    with FakeRegistry(tls=context) as fake:
        client = make(tls=frozenset({fake.address}), ca_file=certificates.authority)
        with pytest.raises(Unreachable) as caught:
            client.resolve(Reference.parse(f"{fake.address}/team/app:1.0"))
    assert str(caught.value) == (
        f"{fake.address}: unreachable: TLS: sslv3 alert handshake failure (3 tries in 0.8 s); "
        "check the network and try again"
    )


def test_https_to_a_port_that_speaks_http(make: MakeClient, fake: FakeRegistry) -> None:
    with pytest.raises(Unreachable) as caught:
        make(tls=frozenset({fake.address})).resolve(Reference.parse(f"{fake.address}/team/app:1.0"))
    assert str(caught.value) == (
        f"{fake.address}: unreachable: it speaks plain HTTP, not HTTPS (1 try in 0.0 s); "
        "if this is intended, add it to `insecure_registries` in the catalog"
    )


def test_http_to_a_port_that_speaks_https(make: MakeClient, certificates: Certificates) -> None:
    with FakeRegistry(tls=certificates.context()) as fake, pytest.raises(Unreachable) as caught:
        make(deadline=0.5).resolve(Reference.parse(f"{fake.address}/team/app:1.0"))
    assert str(caught.value).startswith(f"{fake.address}: unreachable: ")


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file or directory"), ("not a certificate", "contains no certificates")],
)
def test_invalid_ca_file(content: str | None, why: str, make: MakeClient, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    with pytest.raises(InputError) as caught:
        make(ca_file=file).resolve(Reference.parse("registry.invalid/a:1"))
    assert str(caught.value) == f"{file}: {why}; expected a file with PEM certificates"


def test_proxy_login_is_sent_to_the_proxy(
    make: MakeClient, fake: FakeRegistry, app: FakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add_image("team/app", app, "1.0")
    monkeypatch.setenv("HTTP_PROXY", f"http://me:p%40ss@{fake.address}")
    client = make(insecure=frozenset({"registry.invalid:5000"}))
    client.resolve(Reference.parse("registry.invalid:5000/team/app:1.0"))
    call = fake.seen[0].call
    assert call.headers["host"] == "registry.invalid:5000"
    assert call.headers["proxy-authorization"] == "Basic " + b64encode(b"me:p@ss").decode()


def test_proxy_password_may_contain_any_letters(
    make: MakeClient, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:gehe\u4e2d@{fake.address}")
    make(insecure=frozenset({"registry.invalid"})).find(Reference.parse("registry.invalid/a:1"))
    header = fake.seen[0].call.headers["proxy-authorization"]
    assert b64decode(header.removeprefix("Basic ")).decode() == "me:gehe\u4e2d"


def test_proxy_without_a_scheme_uses_http(
    make: MakeClient, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", fake.address)
    assert (
        make(insecure=frozenset({"registry.invalid"})).find(Reference.parse("registry.invalid/a:1")) is None
    )
    assert fake.count() == 1


def test_no_proxy_is_honoured(make: MakeClient, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", fake.url)
    monkeypatch.setenv("NO_PROXY", ".example,registry.invalid")
    with pytest.raises(Unreachable, match="the host name cannot be resolved"):
        make(insecure=frozenset({"registry.invalid"})).find(Reference.parse("registry.invalid/a:1"))
    assert fake.count() == 0


def test_loopback_is_never_proxied(
    make: MakeClient, fake: FakeRegistry, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeRegistry() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        make().resolve(reference)
        assert (fake.count(), proxy.count()) == (1, 0)


def test_proxy_without_connect(make: MakeClient, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@{fake.address}")
    with pytest.raises(Unreachable) as caught:
        make().resolve(Reference.parse("registry.invalid/a:1"))
    assert str(caught.value) == (
        "registry.invalid: unreachable: the proxy failed: tunnel connection failed: "
        "501 Unsupported method ('CONNECT') (3 tries in 0.8 s); check HTTPS_PROXY and HTTP_PROXY"
    )


@pytest.mark.parametrize(
    "proxy",
    ["socks5://a.example", "http://:80", "http://me:secret@/", "http://[::1", "http://me:sec#ret@a.example"],
)
def test_invalid_proxy(proxy: str, make: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(InputError) as caught:
        make().resolve(Reference.parse("registry.invalid/a:1"))
    assert str(caught.value) == "HTTPS_PROXY: not a proxy address, expected http://host:port"


def test_address_that_urllib3_rejects() -> None:
    label = "a" * 64
    with pytest.raises(TransientError) as caught:
        HttpTransport(RegistryOptions()).send(Request(method="GET", url=f"http://{label}.example/"))
    assert str(caught.value.final_error(1, 0)).startswith(f"{label}.example: unreachable: ")
