"""A small catalog in two states, each in a folder, and their review."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dfgen.catalog.lockfile import LOCK_FILE, Lock, LockedParent, Pin
from dfgen.commands.review.records import Review
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import OCI_INDEX
from dfgen.oci.platform import Platform
from tests.unit.review.states import lines, rendered, reviewed, state

AMD64, ARM64 = Platform.parse("amd64"), Platform.parse("arm64")
DEBIAN = "docker.io/library/debian:12"
TEMPLATE = "FROM {{ parent }}\nCOPY files/app.conf /etc/\nUSER app\n"
BASE = 'template: t.j2\nparent: docker.io/library/debian:12\nversions: ["1.0"]\n'
ARM_FILE, AMD_FILE = "bases/app/1.0/Dockerfile_arm64", "bases/app/1.0/Dockerfile_amd64"
Files = Mapping[str, str]


def locked(name: str = DEBIAN, build: str = "1") -> LockedParent:
    pins = {platform: Pin(Digest.of(f"{name} {build} {platform}".encode())) for platform in (AMD64, ARM64)}
    index = Digest.of(f"{name} {build}".encode())
    return LockedParent(digest=index, media_type=OCI_INDEX, first_seen="2026-01-01", platforms=pins)


def write(root: Path, files: Files, parents: Mapping[str, LockedParent]) -> Path:
    """Write a state and render it."""
    base = {"bases/app/base.yaml": BASE, "templates/t.j2": TEMPLATE, "bases/app/files/app.conf": "a\n"}
    put(root, {**base, LOCK_FILE: Lock(parents).to_text(), **files})
    now = state(root)
    if now.catalog:
        put(root, rendered(root, now))
    return root


def put(root: Path, files: Files) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


class World:
    """Two states of a small catalog, in the folders `was` and `now`."""

    def __init__(self, folder: Path) -> None:
        self.was, self.now = folder / "was", folder / "now"

    def make(
        self, old: Files, new: Files, before: LockedParent | None = None, after: LockedParent | None = None
    ) -> None:
        write(self.was, old, {DEBIAN: before or locked()})
        write(self.now, new, {DEBIAN: after or before or locked()})

    def review(self, **sources: object) -> Review:
        return reviewed(self.was, self.now, **sources)

    def risks(self, **sources: object) -> list[str]:
        return lines(self.review(**sources).risks)
