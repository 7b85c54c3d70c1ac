"""A clock that only sleeping moves, so that tests of waiting wait for nothing."""

from __future__ import annotations

import threading

from dfgen.registry.endpoint import Clock

WALL = 1_700_000_000.0  # what the wall clock says at the beginning: Tue, 14 Nov 2023 22:13:20 GMT


class FakeClock:
    """Hand `clock` to what is tested; `pauses` are the seconds it slept, each time."""

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
        """Let the time pass at once."""
        with self._lock:
            self.pauses.append(seconds)
            self.passed += seconds
