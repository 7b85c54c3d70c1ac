"""Retry transient errors with exponential backoff and jitter, within one deadline per operation."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TypeVar

from dfgen.registry.endpoint import Clock
from dfgen.registry.errors import RateLimited, RegistryError, Unreachable

T = TypeVar("T")

_FIRST_PAUSE = 0.25  # seconds, doubled with each try
_LONGEST_PAUSE = 10.0
_MIN_TIMEOUT = 0.05  # seconds that every connection gets: a timeout of 0 is invalid

# How many tries an error is worth.
UNLIMITED = 1_000_000  # until the deadline
FEW = 3  # for errors that seldom pass: an unknown host name, a refused connection
TWICE = 2  # for bytes that do not match their digest: a cache on the way may have damaged them
ONCE = 1


def retry(action: Callable[[Deadline], T], clock: Clock, seconds: float, unreachable_hosts: set[str]) -> T:
    """Run `action` until it succeeds, its TransientError allows no more tries, or the deadline is near.

    Gives up early if the next pause would end after the deadline. Hosts that could not be connected to are
    added to `unreachable_hosts`; later operations try them only once, so that a run with many images on a
    dead registry fails soon.
    """
    deadline, tries = Deadline(clock, seconds), 0
    while True:
        tries += 1
        try:
            return action(deadline)
        except TransientError as error:
            # Jitter: 0.5 to 1.5 times the pause, so that many builders do not retry in step.
            pause = min(_FIRST_PAUSE * 2.0 ** min(tries - 1, 20), _LONGEST_PAUSE) * (0.5 + clock.jitter())
            pause = max(pause, error.retry_after or 0.0)
            dead = error.unreachable_host
            if tries >= error.max_tries or pause > deadline.remaining or dead in unreachable_hosts:
                unreachable_hosts.update({dead} - {""})
                raise error.final_error(tries, deadline.elapsed) from error.__cause__
        clock.sleep(pause)


class Deadline:
    """The total time limit of an operation, over all its tries and pauses."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        """Start now."""
        self._clock, self._seconds, self._start = clock, seconds, clock.now()

    @property
    def elapsed(self) -> float:
        """Seconds since the operation began."""
        return self._clock.now() - self._start

    @property
    def remaining(self) -> float:
        """Seconds until the deadline; negative after it."""
        return self._seconds - self.elapsed

    def timeout(self, idle_timeout: float) -> float:
        """Limit an inactivity timeout to the remaining time, but never to 0."""
        return max(_MIN_TIMEOUT, min(idle_timeout, self.remaining))

    def check(self, host: str) -> None:
        """Raise TransientError after the deadline.

        Call it while reading a body: a server that sends a byte now and then never reaches the inactivity
        timeout.
        """
        if self.remaining <= 0:
            raise unavailable(host, f"the response took longer than {self._seconds:.0f} s")


class TransientError(Exception):
    """An error that a retry may fix.

    `final_error` makes the RegistryError to raise after the last try from the number of tries and the elapsed
    seconds. `max_tries` limits the tries, `retry_after` is the wait in seconds that the server asked for, and
    `unreachable_host` is the host if no connection to it could be made.
    """

    unreachable_host = ""

    def __init__(
        self,
        final_error: Callable[[int, float], RegistryError],
        max_tries: int = UNLIMITED,
        retry_after: float | None = None,
    ) -> None:
        """Make the error; the defaults allow retries until the deadline."""
        super().__init__()
        self.final_error, self.max_tries, self.retry_after = final_error, max_tries, retry_after


def unavailable(
    host: str, cause: str, max_tries: int = UNLIMITED, advice: str = "", retry_after: float | None = None
) -> TransientError:
    """Make the error for a failed connection or server; it ends as Unreachable."""
    return TransientError(
        lambda tries, seconds: Unreachable.of(host, cause, tries, seconds, advice), max_tries, retry_after
    )


def rate_limited(
    host: str, cause: str, retry_after: float | None, max_tries: int = UNLIMITED
) -> TransientError:
    """Make the error for a server that asks for fewer requests; it ends as RateLimited."""
    return TransientError(
        lambda tries, seconds: RateLimited.of(host, cause, tries, seconds, retry_after),
        max_tries,
        retry_after,
    )


def retryable(error: RegistryError, max_tries: int) -> TransientError:
    """Wrap an error that another try may fix; it ends as itself."""
    return TransientError(lambda _tries, _seconds: error, max_tries)


def parse_retry_after(value: str, now: float) -> float | None:
    """Parse a Retry-After header (seconds or an HTTP date) to seconds from `now`; None if it is neither."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)  # may be infinite for very long numbers; `retry` then gives up at once
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None
