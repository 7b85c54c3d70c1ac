"""A bill of materials (SBOM) of an image's packages, as an artefact that is kept beside the image."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from dfgen.oci.manifest import ATTESTATION_OF, ATTESTATION_TYPE, OCI_MANIFEST, Descriptor
from dfgen.oci.platform import Platform

CYCLONEDX = "application/vnd.cyclonedx+json"
FILE_NAME = "sbom.cdx.json"

_EMPTY = "application/vnd.oci.empty.v1+json"
_TITLE = "org.opencontainers.image.title"
_UNKNOWN = Platform.of("unknown", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Installed:
    """A package as a database has it: `kind` is its type in a package URL (`deb`, `apk`, `rpm`).

    `upstream` names the source package that it was made from, where that is another one; `epoch` is an
    rpm's.
    """

    kind: str
    name: str
    version: str
    architecture: str = ""
    upstream: str = ""
    epoch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """The operating system by its own os-release: `debian` and `12`; both are empty without that file."""

    id: str = ""
    version: str = ""

    def __str__(self) -> str:
        """Write `debian 12`."""
        return f"{self.id} {self.version}".strip() or "an unknown system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What an image says of itself: its packages, sorted, their databases, and those that are not read."""

    system: System
    packages: tuple[Installed, ...] = ()
    databases: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def lacking(self) -> str:
        """Why the SBOM may not have or not know all; empty when nothing speaks for it."""
        found = [f"{database} is not read" for database in self.unread]
        if self.packages and not self.system.id:
            found.append("it has no os-release, so that its packages are of a system that is guessed")
        if not self.packages:
            found.append("its package database is empty" if self.databases else self._none)
        return "; ".join(found)

    @property
    def _none(self) -> str:
        return "it has no other package database" if self.unread else "it has no package database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """An SBOM as it goes beside its image: its entry, its manifest, and the blobs that this names."""

    entry: Descriptor
    raw: bytes
    blobs: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """An SBOM that was made: its entry, how many packages it has, of what, and what it may lack."""

    entry: Descriptor
    packages: int = field(default=0)
    system: str = ""
    lacking: str = ""


def artefact(image: Descriptor, document: bytes) -> Artefact:
    """Write the manifest of an SBOM, which names its image as its subject.

    It is listed in the merged index as BuildKit lists attestations, so that it goes wherever the index goes;
    registries that know OCI 1.1 list it as a referrer of the image besides.
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
    return Artefact(entry=entry, raw=raw, blobs=(b"{}", document))


def is_bill(entry: Descriptor) -> bool:
    """Whether an entry of an index names an SBOM that dfgen made, and not BuildKit's generator."""
    return entry.extra.get("artifactType") == CYCLONEDX


def bills_in(entries: Iterable[Descriptor]) -> tuple[Descriptor, ...]:
    """Pick the SBOMs that dfgen made."""
    return tuple(entry for entry in entries if is_bill(entry))
