"""SBOMs in CycloneDX: valid, and the same bytes for the same packages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from dfgen.oci.digest import Digest
from dfgen.sbom.cyclonedx import document
from dfgen.sbom.model import Contents, Installed, System

IMAGE = Digest.of(b"image")
BASH = Installed(kind="deb", name="bash", version="5.2", architecture="amd64")
ZLIB = Installed(kind="rpm", name="zlib", version="1.3-1", epoch=0)
DEBIAN = System(id="debian", version="12")
FULL = Contents(system=DEBIAN, packages=(BASH, ZLIB), databases=("var/lib/dpkg/status",))
EMPTY = Contents(system=System())


def parsed(contents: Contents, epoch: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document("app", IMAGE, contents, epoch))
    return found


@pytest.mark.parametrize("contents", [FULL, EMPTY])
def test_an_sbom_is_valid(contents: Contents) -> None:
    text = document("app", IMAGE, contents, 0).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_an_sbom_lists_the_image_the_system_and_every_package() -> None:
    sbom = parsed(FULL, epoch=1767225600)
    assert sbom["metadata"]["component"] == {
        "bom-ref": str(IMAGE),
        "name": "app",
        "type": "container",
        "version": str(IMAGE),
    }
    assert sbom["metadata"]["timestamp"] == "2026-01-01T00:00:00+00:00"
    components = {one["name"]: (one["type"], one["version"], one.get("purl")) for one in sbom["components"]}
    assert components == {
        "bash": ("library", "5.2", "pkg:deb/debian/bash@5.2?arch=amd64&distro=debian-12"),
        "zlib": ("library", "1.3-1", "pkg:rpm/debian/zlib@1.3-1?distro=debian-12&epoch=0"),
        "debian": ("operating-system", "12", None),
    }
    (root,) = [one for one in sbom["dependencies"] if one["ref"] == str(IMAGE)]
    assert len(root["dependsOn"]) == 3


def test_an_sbom_depends_only_on_image_packages_and_timestamp() -> None:
    reordered = Contents(system=DEBIAN, packages=(ZLIB, BASH), databases=FULL.databases)
    assert document("app", IMAGE, reordered, 5) == document("app", IMAGE, FULL, 5)
    other = json.loads(document("app", Digest.of(b"other"), FULL, 5))
    assert other["serialNumber"] != parsed(FULL)["serialNumber"]
    assert parsed(FULL)["serialNumber"] == "urn:uuid:b4d28346-6171-5b1e-8d13-5e98b7ac9816"


def test_an_incomplete_sbom_says_why() -> None:
    sbom = parsed(EMPTY)
    assert "components" not in sbom
    assert sbom["metadata"]["properties"] == [
        {"name": "dfgen:lacking", "value": "it has no package database"}
    ]
    assert "properties" not in parsed(FULL)["metadata"]
