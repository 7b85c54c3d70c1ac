"""After a push: whether the registry shows what was written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from dfgen.errors import OutsideError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import Descriptor
from dfgen.oci.reference import Reference

_PAUSES = (0.25, 0.5, 1.0, 2.0, 4.0)  # seconds before each further look, for registries that lag


class Finds(Protocol):
    """What can be asked for the digest behind a tag."""

    def find(self, reference: Reference) -> Descriptor | None:
        """What a reference points at, None where it is not there."""
        ...


def read_back(registry: Finds, reference: Reference, digest: Digest, pause: Callable[[float], None]) -> None:
    """Wait until a tag shows what was pushed.

    Errors: OutsideError when it does not after some seconds: a registry that lags too far, or another writer.
    """
    for wait in (0.0, *_PAUSES):
        if wait:
            pause(wait)
        found = registry.find(reference)
        if found and found.digest == digest:
            return
    shown = str(found.digest) if found else "nothing"
    advice = "another writer moved the tag, or the registry lags; look with `dfgen inspect` and run it again"
    raise OutsideError(f"{reference}: pushed {digest}, but the registry shows {shown}; {advice}")
