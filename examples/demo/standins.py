"""Which stand-in serves for which upstream image: its packages, files and configuration."""

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
# The Debian release that has a Java of this major version.
JAVA_SUITES = {"17": "bookworm", "21": "trixie", "25": "trixie"}
RPM_NAMES = ("centos", "almalinux", "rockylinux")
NGINX_USER = "nginx:x:101:101:nginx user:/nonexistent:/bin/false"
UBUNTU_USER = "ubuntu:x:1000:1000:Ubuntu:/home/ubuntu:/bin/bash"
LABEL, RECIPE_LABEL = "dfgen.stand-in", "dfgen.stand-in.recipe"
LOCALE = ("LANG=C.UTF-8", "LC_ALL=C.UTF-8")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """A stand-in parent: a root file system for each platform, a folder of files, and image settings."""

    reference: str
    """The upstream reference that it serves for, with host and tag."""
    rootfs: RootFs
    files: str
    """The folder below `files/` whose content is laid over the root file system; empty for none."""
    settings: Mapping[str, Any]
    """The image's configuration: environment, ports, entry point, as an OCI config names them."""

    @property
    def title(self) -> str:
        """What it says of itself, in its label and in /etc/dfgen-stand-in."""
        return (
            f"stand-in for {self.reference}, made from Debian packages ({self.rootfs.suite}),"
            " not the upstream image"
        )

    def recipe(self) -> str:
        """A hash of everything that decides the image; an image with the same one need not be made again."""
        digest = hashlib.sha256(repr((self.rootfs.key(), self.settings, self.title)).encode())
        folder = FILES / self.files if self.files else None
        for path in sorted(folder.rglob("*")) if folder else []:
            if path.is_symlink() or path.is_file():
                content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
                digest.update(str(path.relative_to(FILES)).encode() + content)
        return digest.hexdigest()[:16]

    def config(self) -> dict[str, Any]:
        """The image's configuration with the labels by which a stand-in is known."""
        return {**self.settings, "Labels": {LABEL: self.title, RECIPE_LABEL: self.recipe()}}


def split_reference(reference: str) -> tuple[str, str, str]:
    """Host, repository and tag of a reference that is written in full: `docker.io/library/nginx:1.30`."""
    found = re.fullmatch(r"([^/]+[.:][^/]*|localhost)/([a-z0-9._/-]+):([\w.-]+)", reference)
    if not found:
        raise DemoError(f"{reference!r}: expected HOST/REPOSITORY:TAG, as in docker.io/library/nginx:1.30", 2)
    return found[1], found[2], found[3]


def java(reference: str, tag: str) -> StandIn:
    """A Java run time or development kit, where and as eclipse-temurin has it."""
    major = tag.partition("-")[0].partition(".")[0].partition("_")[0]
    kind = "jre" if "-jre" in tag else "jdk"
    if major not in JAVA_SUITES:
        known = ", ".join(JAVA_SUITES)
        raise DemoError(f"{reference!r}: no stand-in for Java {major!r}, expected a tag of {known}", 2)
    packages = [f"openjdk-{major}-{kind}-headless"]
    settings: dict[str, Any] = {
        "Env": [f"PATH=/opt/java/openjdk/bin:{PATH}", "JAVA_HOME=/opt/java/openjdk", *LOCALE],
        "Entrypoint": ["/__cacert_entrypoint.sh"],
        **({"Cmd": ["jshell"]} if kind == "jdk" else {}),
    }
    # Ubuntu's images, which most tags stand on, have this user; a template must get along with it.
    users = (UBUNTU_USER,)
    rootfs = RootFs(suite=JAVA_SUITES[major], packages=tuple(packages), users=users)
    return StandIn(reference=reference, rootfs=rootfs, files="java", settings=settings)


def nginx(reference: str) -> StandIn:
    """An nginx with the configuration folders, user and entry point of the upstream image."""
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
    """A root file system with a dnf, yum and microdnf that find everything installed."""
    settings = {"Env": [f"PATH={PATH}"], "Cmd": ["/bin/bash"]}
    return StandIn(reference=reference, rootfs=RootFs(suite="bookworm"), files="rpm", settings=settings)


def choose(reference: str) -> StandIn:
    """The stand-in for an upstream reference, by the last component of its repository and its tag."""
    _, repository, tag = split_reference(reference)
    name = repository.rpartition("/")[2]
    if name == "eclipse-temurin":
        return java(reference, tag)
    if name == "nginx":
        return nginx(reference)
    if name in RPM_NAMES:
        return plain(reference)
    known = ", ".join(("eclipse-temurin", "nginx", *RPM_NAMES))
    raise DemoError(f"{reference!r}: no stand-in for {name!r}, expected one of {known}", 2)
