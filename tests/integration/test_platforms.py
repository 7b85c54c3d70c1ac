"""Platforms are normalized as BuildKit, which uses containerd's library, normalizes them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dfgen.oci.platform import Platform

_DOCKERFILE = "FROM scratch\nARG TARGETPLATFORM\nCOPY <<EOF /platform\n$TARGETPLATFORM\nEOF\n"


@pytest.mark.parametrize(
    "words",
    [
        ("x86_64", "v1"),
        ("x86-64",),
        ("amd64", "v8"),
        ("aarch64",),
        ("arm64", "8"),
        ("arm64", "v9"),
        ("arm",),
        ("arm", "6"),
        ("armhf", "v6"),
        ("armel",),
        ("i386",),
    ],
)
def test_buildkit_normalizes_a_platform_the_same_way(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "Dockerfile").write_text(_DOCKERFILE)
    typed, target = "/".join(("linux", *words)), tmp_path / "out"
    command = ["docker", "buildx", "build", "-q", f"--platform={typed}", f"--output={target}", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert (target / "platform").read_text().strip() == str(Platform.of("linux", *words))
