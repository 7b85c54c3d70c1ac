"""What a user may set about registries, and the clock that a test may replace."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryOptions:
    """How registries are reached; hosts are written as in a reference, with their port.

    A loopback registry speaks plain HTTP unless it is in `tls`;
    any other speaks HTTPS unless it is in `insecure`.
    """

    insecure: frozenset[str] = frozenset()
    tls: frozenset[str] = frozenset()
    ca_file: Path | None = None  # certificates to trust besides the system's own
    deadline: float = 60.0  # seconds in total per operation, tries and pauses included
    silence: float = 20.0  # seconds after which a connection that says nothing is given up
    connections: int = 16  # kept open per host
    chunk: int = 16 * 2**20  # bytes per request where a registry wants uploads in pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time and chance as the client sees them, so that tests wait for nothing."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
