"""What a pin's move brings: size and date of the images before and after it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dfgen.concurrent import attempt
from dfgen.errors import DfgenError
from dfgen.oci.digest import Digest
from dfgen.oci.images import Pulls
from dfgen.oci.manifest import Manifest
from dfgen.oci.reference import Reference, Repository

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?=T)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """An image's size, that of its compressed layers in bytes, and the date (YYYY-MM-DD) it was created.

    None where it is unknown: the image is gone, or its configuration does not say.
    """

    size: int | None = None
    created: str | None = None


def facts(pins: Iterable[tuple[Repository, Digest]], registry: Pulls) -> Mapping[Digest, Facts]:
    """Look at images, all at once: two GETs each, manifest and configuration. Never an error."""
    each = dict.fromkeys(pins)
    found = attempt(lambda pin: _facts(*pin, registry), each)
    return {
        digest: Facts() if isinstance(one, DfgenError) else one
        for (_, digest), one in zip(each, found, strict=True)
    }


def _facts(repository: Repository, digest: Digest, registry: Pulls) -> Facts:
    manifest = registry.manifest(Reference(repository, digest=digest))
    if not isinstance(manifest, Manifest):
        return Facts()
    size = sum(layer.size for layer in manifest.layers)
    try:
        created = json.loads(registry.blob(repository, manifest.config))["created"]
        date = _DATE.match(created)
    except (DfgenError, ValueError, LookupError, TypeError, RecursionError):
        date = None
    return Facts(size=size, created=date[0] if date else None)
