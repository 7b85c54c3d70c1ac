"""An index of two images and an attestation, to put into a registry, a layout or an archive and to inspect."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from dfgen.commands.inspect import Inspected, inspect, open_images
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import BASE_DIGEST, BASE_NAME, OCI_INDEX, Descriptor
from dfgen.oci.platform import Platform
from dfgen.registry import NoCredentials, Registry, RegistryOptions
from tests.fakes.images import AMD64, ARM64, attestation, image, index_of
from tests.fakes.registry import FakeRegistry

NAME = "team/java-base"
WINDOWS = Platform.of("windows", "amd64", os_version="10.0.20348.1")
RUN = {
    "Env": ["PATH=/bin", "LANG=C.UTF-8"],
    "Entrypoint": ["java"],
    "Cmd": ["-jar", "app.jar"],
    "User": "10001",
    "WorkingDir": "/srv",
    "ExposedPorts": {"8080/tcp": {}, "443/tcp": {}},
    "Healthcheck": {"Test": ["CMD", "true"]},
    "Labels": {BASE_NAME: "docker.io/library/debian:12", "a": "b"},
}
AMD = image(
    AMD64,
    [b"common", b"amd64"],
    annotations={BASE_DIGEST: "sha256:base"},
    config={"created": "2026-01-01T00:00:00Z", "config": RUN},
)
ARM = image(ARM64, [b"common", b"arm64"])
BOUND, PROOF = attestation(ARM)
INDEX = index_of([AMD.descriptor, ARM.descriptor, BOUND])


def inspect_all(text: str, root: Path = Path()) -> list[Inspected]:
    def registry() -> Registry:
        return Registry(RegistryOptions(), None, NoCredentials())

    found = open_images(text, registry, root)
    return [inspect(one.name, one.document, one.reader) for one in found]


def put(fake: FakeRegistry) -> str:
    for made in (AMD, ARM, PROOF):
        fake.add_image(NAME, made)
    fake.add_manifest(NAME, INDEX, OCI_INDEX, "1.0")
    return f"{fake.address}/{NAME}:1.0"


def layout_at(root: Path) -> Layout:
    layout = Layout(root / "dist")
    for made in (AMD, ARM, PROOF):
        made.put_into(layout)
    layout.add(INDEX)
    layout.tag({"java-base:1.0": Descriptor.of(INDEX, OCI_INDEX), "java-base:1.0-x86_64": AMD.descriptor})
    return layout


def tar(path: Path, members: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w") as file:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
