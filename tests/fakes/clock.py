"""A clock that advances only by sleeping, so that tests do not wait."""

from __future__ import annotations

import threading

from dfgen.registry.endpoint import Clock

WALL = 1_700_000_000.0  # start of the wall clock: Tue, 14 Nov 2023 22:13:20 GMT


class FakeClock:
    """Pass `clock` to the code under test; `pauses` are its sleeps in seconds."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.passed = 0.0
        self._lock = threading.Lock()
        self.clock = Clock(
            now=lambda: self.passed,
            wall=lambda: WALL + self.passed,
            sleep=self.sleep,
            jitter=lambda: 0.5,  # no jitter: pauses are 0.25, 0.5, 1, 2 …
        )

    def sleep(self, seconds: float) -> None:
        """Advance the clock at once."""
        with self._lock:
            self.pauses.append(seconds)
            self.passed += seconds
