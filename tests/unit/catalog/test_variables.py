"""The variables of templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dfgen.catalog.model import Package
from dfgen.catalog.variables import PinnedParent, TemplatePlatform, template_variables
from dfgen.oci.digest import Digest
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference
from tests.unit.catalogs import FAMILY, loaded

DIGEST = f"sha256:{'a' * 64}"
PIN = PinnedParent(Reference.parse(f"docker.io/library/busybox:1.36@{DIGEST}"), Platform.parse("arm64"))
ARM64 = TemplatePlatform(Platform.parse("arm64"))


def _variables(root: Path, more: str, catalog: str = "") -> dict[str, Any]:
    found = loaded(root, FAMILY + more, catalog)
    image = next(image for image in found.images if str(image.platform) == "linux/arm64")
    return template_variables(found, image, {"parent": PIN, "tool": PIN})


def test_a_pinned_parent_is_formatted_for_from() -> None:
    assert str(PIN) == PIN.__dockerfile__() == f"--platform=linux/arm64 {PIN.reference}"
    assert PIN.reference == f"docker.io/library/busybox:1.36@{DIGEST}"
    assert (PIN.name, PIN.tag, PIN.digest) == ("docker.io/library/busybox:1.36", "1.36", DIGEST)


@pytest.mark.parametrize(
    ("alias", "names"),
    [
        ("amd64", ("linux", "amd64", "", "x86_64", "amd64")),
        ("arm64", ("linux", "arm64", "", "aarch64", "arm64")),
        ("armv7", ("linux", "arm", "v7", "armv7l", "armhf")),
        ("ppc64le", ("linux", "ppc64le", "", "ppc64le", "ppc64el")),
    ],
)
def test_the_names_of_a_platform(alias: str, names: tuple[str, ...]) -> None:
    platform = TemplatePlatform(Platform.parse(alias))
    assert (platform.os, platform.architecture, platform.variant, platform.uname, platform.debian) == names


@pytest.mark.parametrize("alias", ["linux/arm64", "linux/arm64/v8", "arm64", "aarch64", "arm64v8"])
def test_a_platform_equals_its_aliases(alias: str) -> None:
    assert alias == ARM64
    assert ARM64 in [alias]


@pytest.mark.parametrize("other", ["linux/amd64", "x86_64", "nonsense", "", 64, None])
def test_a_platform_equals_nothing_else(other: object) -> None:
    assert other != ARM64


def test_a_platform_is_text() -> None:
    assert f"{ARM64}" == "linux/arm64"
    assert ARM64.startswith("linux/")
    assert hash(ARM64) == hash("linux/arm64")
    assert TemplatePlatform(Platform.parse("arm64")) == ARM64


def test_variables_that_dfgen_defines(tmp_path: Path) -> None:
    found = _variables(
        tmp_path,
        "description: what for\nend_of_life: '2030-01-31'\npackages: [curl]\n",
        "registry: r.example.com\n",
    )
    assert (found["family"], found["version"], found["arch"]) == ("app", "1.0", "arm64")
    assert (found["description"], found["registry"]) == ("what for", "r.example.com")
    assert (str(found["platform"]), found["packages"]) == ("linux/arm64", (Package("curl"),))
    assert (found["parent"], found["parents"]) == (PIN, {"tool": PIN})
    image = found["image"]
    assert (image["name"], image["tag"], image["end_of_life"]) == (
        "r.example.com/app",
        "1.0-aarch64",
        "2030-01-31",
    )


def test_automatic_labels(tmp_path: Path) -> None:
    found = _variables(
        tmp_path, "description: what for\nlabels: {org.opencontainers.image.title: other, x: y}\n"
    )
    assert found["labels"] == {
        "org.opencontainers.image.title": "other",
        "org.opencontainers.image.version": "1.0",
        "org.opencontainers.image.description": "what for",
        "org.opencontainers.image.base.name": "docker.io/library/busybox:1.36",
        "org.opencontainers.image.base.digest": DIGEST,
        "x": "y",
    }


def test_without_a_description_there_is_no_description_label(tmp_path: Path) -> None:
    assert "org.opencontainers.image.description" not in _variables(tmp_path, "")["labels"]


def test_the_catalogs_variables_override_dfgens_but_not_image(tmp_path: Path) -> None:
    found = _variables(tmp_path, "variables: {version: mine, platform: p, x: 7}\n")
    assert (found["version"], found["platform"], found["x"]) == ("mine", "p", 7)
    assert found["image"]["version"] == "1.0"


def test_the_base_digest_label_is_that_of_the_main_parent(tmp_path: Path) -> None:
    other = PinnedParent(PIN.pinned.at(Digest(f"sha256:{'b' * 64}")), PIN.platform)
    catalog = loaded(tmp_path, FAMILY)
    labels = template_variables(catalog, catalog.images[0], {"parent": PIN, "tool": other})["labels"]
    assert labels["org.opencontainers.image.base.digest"] == DIGEST
