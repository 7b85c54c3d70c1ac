"""What a registry says about how much may still be asked: Docker Hub's RateLimit headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_VALUE = re.compile(r"\s*(\d{1,12})\s*(?:;\s*w=(\d{1,12}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How many pulls are allowed and left in a window of so many seconds (0 where none is named)."""

    limit: int
    remaining: int
    window: int = 0

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> Quota | None:
        """Read `ratelimit-limit: 100;w=21600` and `ratelimit-remaining: 76;w=21600`; None without both."""
        limit = _VALUE.match(headers.get("ratelimit-limit", ""))
        remaining = _VALUE.match(headers.get("ratelimit-remaining", ""))
        if not limit or not remaining:
            return None
        window = limit[2] or remaining[2] or 0
        return cls(limit=int(limit[1]), remaining=int(remaining[1]), window=int(window))
