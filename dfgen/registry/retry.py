"""What passes by itself is tried again, with growing, jittered pauses, within one deadline per operation."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TypeVar

from dfgen.registry.endpoint import Clock
from dfgen.registry.errors import RateLimited, RegistryError, Unreachable

T = TypeVar("T")

_FIRST_PAUSE = 0.25  # seconds, doubled with each try
_LONGEST_PAUSE = 10.0
_SHORTEST = 0.05  # seconds that a connection is given at least
ANY = 1_000_000  # as many tries as the deadline allows
FEW = 3  # for what seldom passes: an unknown host name, a refused connection


class Fault(Exception):  # noqa: N818 - it may still come to nothing
    """Something that may pass; becomes its own error when it has not passed in time.

    `most` limits the tries, `wait` is how many seconds the registry wants to be left alone; `absent` is the
    host to which there is no connection at all.
    """

    absent = ""

    def __init__(
        self, error: Callable[[int, float], RegistryError], most: int = ANY, wait: float | None = None
    ) -> None:
        """Take the error that tries and seconds make of it."""
        super().__init__()
        self.error, self.most, self.wait = error, most, wait


def broken(host: str, cause: str, most: int = ANY, advice: str = "", wait: float | None = None) -> Fault:
    """The connection or the server failed."""
    return Fault(lambda tries, spent: Unreachable.by(host, cause, tries, spent, advice), most, wait)


def limited(host: str, cause: str, wait: float | None, most: int = ANY) -> Fault:
    """The server wants fewer requests."""
    return Fault(lambda tries, spent: RateLimited.after(host, cause, tries, spent, wait), most, wait)


def again(error: RegistryError, most: int) -> Fault:
    """An error that a second try may mend."""
    return Fault(lambda _tries, _spent: error, most)


class Deadline:
    """How long an operation may still take."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        """Start now."""
        self._clock, self._seconds, self._start = clock, seconds, clock.now()

    @property
    def spent(self) -> float:
        """Seconds since the operation began."""
        return self._clock.now() - self._start

    @property
    def left(self) -> float:
        """Seconds until it has to end; negative when it should have."""
        return self._seconds - self.spent

    def timeout(self, silence: float) -> float:
        """How long one connection may be silent: never beyond the deadline, but never nothing."""
        return max(_SHORTEST, min(silence, self.left))

    def check(self, host: str) -> None:
        """Give up on a body that comes in drops: each is in time, all of them are not."""
        if self.left <= 0:
            raise broken(host, f"the answer takes longer than {self._seconds:.0f} s")


def retry_after(value: str, now: float) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date, as seconds from `now`; None for anything else."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)  # of whatever length: even an infinite wait is one that misses the deadline
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def persist(action: Callable[[Deadline], T], clock: Clock, seconds: float, absent: set[str]) -> T:
    """Try until it works, the fault says that it will not, or the next pause would miss the deadline.

    `absent` are the hosts for which an earlier operation has waited in vain: they are tried once.
    """
    deadline, tries = Deadline(clock, seconds), 0
    while True:
        tries += 1
        try:
            return action(deadline)
        except Fault as fault:
            pause = min(_FIRST_PAUSE * 2.0 ** min(tries - 1, 20), _LONGEST_PAUSE) * (0.5 + clock.chance())
            pause = max(pause, fault.wait or 0.0)
            if tries >= fault.most or pause > deadline.left or fault.absent in absent:
                absent.update({fault.absent} - {""})
                raise fault.error(tries, deadline.spent) from fault.__cause__
        clock.sleep(pause)
