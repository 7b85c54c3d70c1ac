"""The benchmark's catalog: any number of versions for two architectures, a template of 40 lines with macros."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dfgen.catalog.lockfile import LOCK_FILE, Lock, LockedParent, Pin
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import OCI_INDEX
from dfgen.oci.platform import Platform

PLATFORMS = ("linux/amd64", "linux/arm64")
PER_FAMILY = 100

TEMPLATE = (
    """\
{% macro setting(name, value) %}
ENV {{ name }}="{{ value }}"
{% endmacro %}
FROM {{ parent }}
LABEL org.example.version="{{ version }}"
{% for number in range(10) %}
{{ setting("SETTING_%d" % number, java) -}}
{% endfor %}
RUN set -eux; \\
    apt-get update; \\
    apt-get install -y --no-install-recommends {{ packages | join(" ") }}; \\
    rm -rf /var/lib/apt/lists/*
"""
    + "".join(f"ENV PLAIN_{number}={{{{ java }}}}\n" for number in range(20))
    + 'USER 1000\nCMD ["java"]\n'
)


def make(root: Path, versions: int) -> None:
    """Write the catalog and its lock; nothing is rendered yet."""
    parents: dict[str, LockedParent] = {}
    (root / "templates").mkdir(parents=True)
    (root / "templates/base.j2").write_text(TEMPLATE, encoding="utf-8")
    for first in range(0, versions, PER_FAMILY):
        folder = root / f"bases/family-{first // PER_FAMILY}"
        folder.mkdir(parents=True)
        lines = [
            "template: base.j2",
            'parent: "docker.io/library/java:{{ java }}"',
            "packages: [curl, git]",
            "versions:",
        ]
        for number in range(first, min(first + PER_FAMILY, versions)):
            lines.append(f'  "{number}.0": {{variables: {{java: {number}}}}}')
            parents[f"docker.io/library/java:{number}"] = _locked(number)
        (folder / "base.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (root / LOCK_FILE).write_text(Lock(parents).to_text(), encoding="utf-8")


def digest_of(number: int, platform: str) -> str:
    """Return the pinned digest of a version's parent for a platform."""
    return f"sha256:{hashlib.sha256(f'{number} {platform}'.encode()).hexdigest()}"


def _locked(number: int) -> LockedParent:
    pins = {Platform.parse(name): Pin(Digest(digest_of(number, name)), 500) for name in PLATFORMS}
    digest = Digest(digest_of(number, "index"))
    return LockedParent(digest=digest, media_type=OCI_INDEX, first_seen="2026-01-01", platforms=pins)
