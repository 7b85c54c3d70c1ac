"""Choose the stand-in for an upstream image: its packages, files and image configuration."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from home import DemoError
from rootfs import RootFs

FILES = Path(__file__).parent / "files"
# The Debian release that has each major version of Java.
JAVA_SUITES = {"17": "bookworm", "21": "trixie", "25": "trixie"}
RPM_NAMES = ("centos", "almalinux", "rockylinux")
NGINX_USER = "nginx:x:101:101:nginx user:/nonexistent:/bin/false"
UBUNTU_USER = "ubuntu:x:1000:1000:Ubuntu:/home/ubuntu:/bin/bash"
LABEL, RECIPE_LABEL = "dfgen.stand-in", "dfgen.stand-in.recipe"
LOCALE = ("LANG=C.UTF-8", "LC_ALL=C.UTF-8")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """A stand-in parent: a root file system, a folder of files on top of it, and an image configuration."""

    reference: str
    """The upstream reference that it replaces, with host and tag."""
    rootfs: RootFs
    files: str
    """The folder below `files/` with the content of the second layer."""
    settings: Mapping[str, Any]
    """The `config` object of the OCI image configuration: environment, ports, entry point."""

    @property
    def title(self) -> str:
        """The text of its label and of /etc/dfgen-stand-in."""
        return (
            f"stand-in for {self.reference}, made from Debian packages ({self.rootfs.suite}),"
            " not the upstream image"
        )

    def recipe(self) -> str:
        """Return a hash of everything that determines the image; a published image with this hash is reused.

        The hash is a label of the image, and it covers the source text of rootfs.py, settle.py and images.py:
        even a changed comment there changes the digest of every stand-in and of all images built on it.
        """
        digest = hashlib.sha256(repr((self.rootfs.key(), self.settings, self.title)).encode())
        folder = FILES / self.files if self.files else None
        for path in sorted(folder.rglob("*")) if folder else []:
            if path.is_symlink() or path.is_file():
                content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
                digest.update(str(path.relative_to(FILES)).encode() + content)
        return digest.hexdigest()[:16]

    def config(self) -> dict[str, Any]:
        """Return the image configuration, with the labels that identify a stand-in."""
        return {**self.settings, "Labels": {LABEL: self.title, RECIPE_LABEL: self.recipe()}}


def split_reference(reference: str) -> tuple[str, str, str]:
    """Split a full reference (`docker.io/library/nginx:1.30`) into host, repository and tag."""
    found = re.fullmatch(r"([^/]+[.:][^/]*|localhost)/([a-z0-9._/-]+):([\w.-]+)", reference)
    if not found:
        raise DemoError(
            f"{reference!r}: not a full reference; use HOST/REPOSITORY:TAG,"
            " for example docker.io/library/nginx:1.30",
            code=2,
        )
    return found[1], found[2], found[3]


def java(reference: str, tag: str) -> StandIn:
    """Return a stand-in for eclipse-temurin: a JRE or JDK at the path where that image has it."""
    major = tag.partition("-")[0].partition(".")[0].partition("_")[0]
    kind = "jre" if "-jre" in tag else "jdk"
    if major not in JAVA_SUITES:
        supported = ", ".join(JAVA_SUITES)
        raise DemoError(f"{reference!r}: no stand-in for Java {major!r}; supported: {supported}", code=2)
    packages = [f"openjdk-{major}-{kind}-headless"]
    settings: dict[str, Any] = {
        "Env": [f"PATH=/opt/java/openjdk/bin:{PATH}", "JAVA_HOME=/opt/java/openjdk", *LOCALE],
        "Entrypoint": ["/__cacert_entrypoint.sh"],
        **({"Cmd": ["jshell"]} if kind == "jdk" else {}),
    }
    # Most upstream tags build on Ubuntu images, which have this user; templates have to cope with it.
    users = (UBUNTU_USER,)
    rootfs = RootFs(suite=JAVA_SUITES[major], packages=tuple(packages), users=users)
    return StandIn(reference=reference, rootfs=rootfs, files="java", settings=settings)


def nginx(reference: str) -> StandIn:
    """Return an nginx with the configuration folders, user and entry point of the upstream image."""
    settings = {
        "Env": [f"PATH={PATH}"],
        "ExposedPorts": {"80/tcp": {}},
        "StopSignal": "SIGQUIT",
        "Entrypoint": ["/docker-entrypoint.sh"],
        "Cmd": ["nginx", "-g", "daemon off;"],
    }
    rootfs = RootFs(suite="bookworm", packages=("nginx",), users=(NGINX_USER,))
    return StandIn(reference=reference, rootfs=rootfs, files="nginx", settings=settings)


def plain(reference: str) -> StandIn:
    """Return a root file system with a dnf, yum and microdnf that find everything installed."""
    settings = {"Env": [f"PATH={PATH}"], "Cmd": ["/bin/bash"]}
    return StandIn(reference=reference, rootfs=RootFs(suite="bookworm"), files="rpm", settings=settings)


def choose(reference: str) -> StandIn:
    """Return the stand-in for an upstream reference, chosen by its repository's last component and tag."""
    _, repository, tag = split_reference(reference)
    name = repository.rpartition("/")[2]
    if name == "eclipse-temurin":
        return java(reference, tag)
    if name == "nginx":
        return nginx(reference)
    if name in RPM_NAMES:
        return plain(reference)
    supported = ", ".join(("eclipse-temurin", "nginx", *RPM_NAMES))
    raise DemoError(f"{reference!r}: no stand-in for {name!r}; supported: {supported}", code=2)
