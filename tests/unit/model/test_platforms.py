"""A platform in conditions and templates: its OCI name, which equals every alias of itself."""

from __future__ import annotations

import pytest

from dfgen.catalog.variables import TemplatePlatform
from dfgen.oci.platform import Platform

ARM64 = TemplatePlatform(Platform.parse("arm64"))


@pytest.mark.parametrize("alias", ["linux/arm64", "linux/arm64/v8", "arm64", "aarch64", "arm64v8"])
def test_it_equals_its_aliases(alias: str) -> None:
    assert alias == ARM64
    assert ARM64 in [alias]


@pytest.mark.parametrize("other", ["linux/amd64", "x86_64", "nonsense", "", 64, None])
def test_it_equals_nothing_else(other: object) -> None:
    assert other != ARM64


def test_it_is_text() -> None:
    assert f"{ARM64}" == "linux/arm64"
    assert ARM64.startswith("linux/")
    assert (ARM64.os, ARM64.architecture, ARM64.variant, ARM64.uname, ARM64.debian) == (
        "linux",
        "arm64",
        "",
        "aarch64",
        "arm64",
    )
