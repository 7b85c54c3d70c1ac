"""The registry client against a real registry, plain and with basic authentication over TLS."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import urllib3

from dfgen.oci.digest import Digest
from dfgen.oci.manifest import OCI_INDEX, Descriptor, Index, canonical_index
from dfgen.oci.reference import Reference, Repository
from dfgen.registry import (
    Login,
    Missing,
    NoCredentials,
    Refused,
    Registry,
    RegistryOptions,
    Unauthorized,
    Unreachable,
    Uploaded,
)
from tests.fakes.certificates import Certificates
from tests.fakes.images import AMD64, ARM64, FakeImage, attestation, image

pytestmark = pytest.mark.integration

LAYER = os.urandom(3_000_000)
ALICE = Login(username="alice", password="open-sesame")
# Output of `htpasswd -nbB alice open-sesame`.
HTPASSWD = "alice:$2b$05$6bKhyPZOE7tpVSoAjNmTM.TQsK0mJRXH2xJ3GdYjkamIr4W4iJl52\n"
CONFIG = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/storage}}}}
http: {{addr: "{address}", tls: {{certificate: {certificates.certificate}, key: {certificates.key}}}}}
auth: {{htpasswd: {{realm: dfgen, path: {folder}/htpasswd}}}}
"""


class Logins:
    """One login for every registry."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def login(self, registry: str) -> Login | None:
        return self._login


@pytest.fixture
def repository() -> Repository:
    """A new repository in the demo registry."""
    return Repository(os.environ["DFGEN_DEMO_REGISTRY"], f"dfgen-test/{uuid.uuid4().hex}")


@pytest.fixture
def client() -> Registry:
    return Registry(RegistryOptions(deadline=20), credentials=NoCredentials())


def push(client: Registry, reference: Reference, what: FakeImage) -> Descriptor:
    """Push an image with its blobs."""
    for blob in what.manifest.blobs:
        client.upload(reference.repository, blob, what.blobs[blob.digest])
    digest = client.put_manifest(reference, what.raw, what.media_type)
    assert digest == what.descriptor.digest
    return what.descriptor


def test_a_pushed_index_is_read_by_dfgen_and_by_a_plain_http_client(
    client: Registry, repository: Repository
) -> None:
    pair = [image(AMD64, [LAYER]), image(ARM64, [b"arm", LAYER], docker=True)]
    suffixes = ["x86_64", "aarch64"]
    made = [
        push(client, Reference(repository, f"1.0-{name}"), one)
        for name, one in zip(suffixes, pair, strict=True)
    ]
    binding, provenance = attestation(pair[0])
    push(client, Reference(repository, digest=binding.digest), provenance)
    index = canonical_index([*made, binding])
    tag = Reference(repository, "1.0")
    assert client.find(tag) is None
    assert client.put_manifest(tag, index.raw, OCI_INDEX) == Digest.of(index.raw)
    assert client.resolve(tag) == Descriptor.of(index.raw, OCI_INDEX)
    found = client.manifest(tag)
    assert isinstance(found, Index)
    assert found.raw == index.raw
    assert [str(entry.platform) for entry in found.images] == ["linux/amd64", "linux/arm64"]
    for one, entry in zip(pair, found.images, strict=True):
        child = client.manifest(tag.at(entry.digest))
        assert (child.raw, child.media_type) == (one.raw, one.media_type)
        assert client.blob(repository, one.manifest.config) == one.blobs[one.manifest.config.digest]
    url = f"http://{repository.registry}/v2/{repository.path}/manifests/1.0"
    foreign = urllib3.request("GET", url, headers={"Accept": OCI_INDEX})
    assert (foreign.data, foreign.headers["docker-content-digest"]) == (index.raw, str(Digest.of(index.raw)))


@pytest.mark.parametrize("chunk", [0, 700_000])
def test_a_blob_is_uploaded_once_and_downloaded_intact(
    chunk: int, client: Registry, repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "layer").write_bytes(LAYER)
    layer = Descriptor.of(LAYER, "application/octet-stream")
    if chunk:
        client = Registry(RegistryOptions(chunk_size=chunk), credentials=NoCredentials())
        # As if the registry had refused a monolithic upload.
        client._uploader._chunked.add(repository.registry)
    sent: list[int] = []
    assert client.upload(repository, layer, tmp_path / "layer", progress=sent.append) is Uploaded.UPLOADED
    assert sum(sent) == len(LAYER)
    assert client.upload(repository, layer, tmp_path / "layer") is Uploaded.SKIPPED
    assert client.has_blob(repository, layer.digest)
    client.download(repository, layer, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == LAYER


def test_a_blob_is_mounted_from_another_repository(client: Registry, repository: Repository) -> None:
    layer = Descriptor.of(LAYER, "application/octet-stream")
    client.upload(repository, layer, LAYER)
    other = replace(repository, path=f"{repository.path}/other")
    assert client.upload(other, layer, LAYER, mount_from=[repository]) is Uploaded.MOUNTED
    assert client.has_blob(other, layer.digest)


def test_a_missing_tag_is_an_error(client: Registry, repository: Repository) -> None:
    with pytest.raises(Missing) as caught:
        client.manifest(Reference(repository, "1.0"))
    assert str(caught.value) == (
        f"{repository.registry}: cannot pull {repository}:1.0: not found: "
        "MANIFEST_UNKNOWN manifest unknown; check the name and the tag"
    )


def test_a_manifest_without_its_blobs_is_refused(client: Registry, repository: Repository) -> None:
    lonely = image(layers=[os.urandom(10)])
    with pytest.raises(Refused, match="MANIFEST_BLOB_UNKNOWN"):
        client.put_manifest(Reference(repository, "1.0"), lonely.raw, lonely.media_type)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def guarded(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a new registry with basic authentication over TLS."""
    program = shutil.which("docker-registry")
    assert program, "docker-registry is not on PATH, where the demo puts it"
    folder = tmp_path_factory.mktemp("registry")
    (folder / "htpasswd").write_text(HTPASSWD)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = folder / "config.yml"
    config.write_text(CONFIG.format(folder=folder, address=address, certificates=certificates))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log)
    try:
        _wait(address, process, folder / "log")
        yield address
    finally:
        process.terminate()
        process.wait(10)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    host, _, port = address.rpartition(":")
    for _ in range(200):
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection((host, int(port)), 1).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"docker-registry does not listen: {log.read_text()}")


def options(address: str, certificates: Certificates) -> RegistryOptions:
    return RegistryOptions(tls=frozenset({address}), ca_file=certificates.authority, deadline=20)


def test_basic_authentication_over_tls(guarded: str, certificates: Certificates) -> None:
    client = Registry(options(guarded, certificates), credentials=Logins(ALICE))
    reference = Reference(Repository(guarded, "team/app"), "1.0")
    one = image(layers=[LAYER])
    push(client, reference, one)
    assert client.resolve(reference).digest == one.descriptor.digest
    assert client.manifest(reference).raw == one.raw
    other = Repository(guarded, "team/other")
    layer = one.manifest.layers[0]
    assert client.upload(other, layer, LAYER, mount_from=[reference.repository]) is Uploaded.MOUNTED


def test_no_login_and_a_wrong_password_are_rejected(guarded: str, certificates: Certificates) -> None:
    reference = Reference(Repository(guarded, "team/app"), "1.0")
    login = f"`docker login {guarded}`"
    with pytest.raises(Unauthorized) as caught:
        Registry(options(guarded, certificates), credentials=NoCredentials()).resolve(reference)
    assert str(caught.value) == f"{guarded}: unauthorized to pull {reference}; log in with {login}"
    wrong = Logins(Login(username="alice", password="sesame-open"))
    with pytest.raises(Unauthorized) as caught:
        Registry(options(guarded, certificates), credentials=wrong).resolve(reference)
    assert str(caught.value) == (
        f"{guarded}: unauthorized to pull {reference}: "
        f"it rejected the login from the Docker configuration; log in again with {login}"
    )


def test_an_untrusted_certificate_is_rejected(guarded: str) -> None:
    client = Registry(RegistryOptions(tls=frozenset({guarded})), credentials=Logins(ALICE))
    with pytest.raises(Unreachable, match="its certificate is not trusted"):
        client.resolve(Reference(Repository(guarded, "team/app"), "1.0"))
