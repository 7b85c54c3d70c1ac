"""Create real git repositories with a small catalog."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from dfgen.catalog.lockfile import LOCK_FILE, Lock, LockedParent, Pin
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import OCI_INDEX
from dfgen.oci.platform import Platform
from tests.unit.catalogs import FAMILY, write
from tests.unit.cli.run import dfgen

_OPTIONS = (
    *("-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "init.defaultBranch=main"),
    *("-c", "protocol.file.allow=always", "-c", "advice.detachedHead=false"),
)
TEMPLATE = "FROM {{ parent }}\nCOPY files/ /srv/\nUSER 1000\n"


def git(root: Path, *words: str) -> str:
    """Run git in a folder, independent of the user's configuration."""
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-C", str(root), *_OPTIONS, *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **own})
    return done.stdout.strip()


def commit(root: Path, message: str = "m") -> str:
    """Commit all changes and return the commit."""
    git(root, "add", "-A")
    git(root, "commit", "-qm", message, "--allow-empty")
    return git(root, "rev-parse", "HEAD")


def repository(root: Path, folder: str = "images") -> Path:
    """Create a repository with a rendered catalog in a folder, on the branch `topic` off `main`."""
    write(
        root / folder, {"bases/app/base.yaml": FAMILY, "bases/app/files/app.conf": "a\n", LOCK_FILE: _lock()}
    )
    write(root / folder, {"templates/t.j2": TEMPLATE})
    assert dfgen("-C", root / folder, "render").status == 0
    git(root, "init", "-q", "--template=")
    commit(root)
    git(root, "checkout", "-qb", "topic")
    return root


def found(root: Path, *words: str | Path) -> list[str]:
    """Review a catalog; return its risks, the reasons to rebuild the amd64 image, and the changed Dockerfiles."""
    found = json.loads(dfgen("-C", root, "--format", "json", "review", *words).out)
    risks = [one["message"] for one in found["risks"]]
    built = [
        why for one in found["radius"]["rebuilt"] if one["image"] == "app:1.0@amd64" for why in one["reasons"]
    ]
    return [*risks, *built, *(file for group in found["groups"] for file in group["files"])]


def pinned() -> LockedParent:
    """Lock a parent for two platforms."""
    names = {"linux/amd64": "a", "linux/arm64": "b"}
    pins = {Platform.parse(name): Pin(Digest(f"sha256:{64 * one}"), 500) for name, one in names.items()}
    digest = Digest(f"sha256:{64 * 'c'}")
    return LockedParent(digest=digest, media_type=OCI_INDEX, first_seen="2026-01-01", platforms=pins)


def _lock() -> str:
    return Lock({"docker.io/library/busybox:1.36": pinned()}).to_text()
