"""Content digests, for example `sha256:e3b0…`.

Specification: https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from dfgen.errors import InputError

_GRAMMAR = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A digest whose algorithm, length and alphabet are valid."""

    text: str

    def __post_init__(self) -> None:
        """Raise InputError if the text is not a digest."""
        if not _GRAMMAR.fullmatch(self.text):
            raise InputError(f"{self.text!r} is not a digest; expected sha256: and 64 hexadecimal digits")

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> Digest:
        """Return the digest of the data."""
        return cls(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}")

    @property
    def algorithm(self) -> str:
        """`sha256` or `sha512`."""
        return self.text.partition(":")[0]

    @property
    def hex(self) -> str:
        """The hash in hexadecimal, without the algorithm."""
        return self.text.partition(":")[2]

    @property
    def short(self) -> str:
        """The first 12 digits of the hash, as Docker shows it."""
        return self.hex[:12]

    def matches(self, data: bytes) -> bool:
        """Whether this is the digest of the data."""
        return Digest.of(data, self.algorithm) == self

    def __str__(self) -> str:
        """Format as `algorithm:hex`."""
        return self.text
