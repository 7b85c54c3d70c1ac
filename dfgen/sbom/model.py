"""SBOMs (software bills of materials): an image's packages, and the OCI artifact that lists them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from dfgen.oci.manifest import ATTESTATION_OF, ATTESTATION_TYPE, OCI_MANIFEST, Descriptor
from dfgen.oci.platform import Platform

CYCLONEDX = "application/vnd.cyclonedx+json"
FILE_NAME = "sbom.cdx.json"

_EMPTY = "application/vnd.oci.empty.v1+json"  # the configuration `{}` of artifacts that need none
_TITLE = "org.opencontainers.image.title"
# BuildKit lists attestations under this platform, so that no client pulls them as an image.
_UNKNOWN = Platform.of("unknown", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Installed:
    """An installed package; `kind` is its type in a package URL (`deb`, `apk`, `rpm`).

    `upstream` is the source package, if its name differs. `epoch` is only set for rpm packages.
    """

    kind: str
    name: str
    version: str
    architecture: str = ""
    upstream: str = ""
    epoch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """The operating system, for example `debian` and `12`; both are empty if there is no os-release."""

    id: str = ""
    version: str = ""

    def __str__(self) -> str:
        """Format as `debian 12`."""
        return f"{self.id} {self.version}".strip() or "an unknown system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The packages of an image, sorted, the databases they come from, and databases that were not read."""

    system: System
    packages: tuple[Installed, ...] = ()
    databases: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def lacking(self) -> str:
        """Why the SBOM may be incomplete or inaccurate, or an empty string."""
        found = [f"{database} is not read" for database in self.unread]
        if self.packages and not self.system.id:
            found.append("it has no os-release, so the distribution of its packages is guessed")
        if not self.packages:
            other = "other " if self.unread else ""
            found.append(
                "its package database is empty" if self.databases else f"it has no {other}package database"
            )
        return "; ".join(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An SBOM as an OCI artifact: its index entry, its manifest, and the blobs of the manifest."""

    entry: Descriptor
    raw: bytes
    blobs: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sbom:
    """A generated SBOM: its index entry, number of packages, operating system, and `Contents.lacking`."""

    entry: Descriptor
    packages: int = field(default=0)
    system: str = ""
    lacking: str = ""


def artifact(image: Descriptor, document: bytes) -> Artifact:
    """Wrap an SBOM in an OCI artifact whose subject is the image.

    The merged index lists it in the way BuildKit lists attestations, so every copy of the index includes it.
    Registries that support OCI 1.1 also list it as a referrer of the image:
    https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidelines-for-artifact-usage
    """
    layer = {**Descriptor.of(document, CYCLONEDX).to_json(), "annotations": {_TITLE: FILE_NAME}}
    subject = Descriptor(media_type=image.media_type, digest=image.digest, size=image.size)
    data = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": CYCLONEDX,
        "config": Descriptor.of(b"{}", _EMPTY).to_json(),
        "layers": [layer],
        "subject": subject.to_json(),
    }
    raw = json.dumps(data, separators=(",", ":")).encode()
    described = Descriptor.of(raw, OCI_MANIFEST)
    entry = Descriptor(
        media_type=described.media_type,
        digest=described.digest,
        size=described.size,
        platform=_UNKNOWN,
        annotations={ATTESTATION_TYPE: "attestation-manifest", ATTESTATION_OF: str(image.digest)},
        extra={"artifactType": CYCLONEDX},
    )
    return Artifact(entry=entry, raw=raw, blobs=(b"{}", document))


def is_sbom(entry: Descriptor) -> bool:
    """Whether an index entry is an SBOM from dfgen, not from a generator of BuildKit."""
    return entry.extra.get("artifactType") == CYCLONEDX


def sboms_in(entries: Iterable[Descriptor]) -> tuple[Descriptor, ...]:
    """Return the entries that are SBOMs from dfgen."""
    return tuple(entry for entry in entries if is_sbom(entry))
