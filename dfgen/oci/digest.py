"""Content digests: `sha256:` and the hex of the bytes' hash."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from dfgen.errors import InputError

_GRAMMAR = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A digest that has the right algorithm, length and alphabet."""

    text: str

    def __post_init__(self) -> None:
        """Refuse anything that is not a digest."""
        if not _GRAMMAR.fullmatch(self.text):
            raise InputError(f"{self.text!r} is not a digest; expected sha256: and 64 hexadecimal digits")

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> Digest:
        """Hash bytes."""
        return cls(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}")

    @property
    def algorithm(self) -> str:
        """`sha256` or `sha512`."""
        return self.text.partition(":")[0]

    @property
    def hex(self) -> str:
        """The hash without its algorithm."""
        return self.text.partition(":")[2]

    @property
    def short(self) -> str:
        """Enough for a person to tell two apart: the first twelve digits."""
        return self.hex[:12]

    def matches(self, data: bytes) -> bool:
        """Whether the bytes are the ones that this digest names."""
        return Digest.of(data, self.algorithm) == self

    def __str__(self) -> str:
        """Write it as every tool does."""
        return self.text
