"""Run work concurrently; collect failures and raise them as one error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from dfgen.errors import CheckError, DfgenError, ExitCode, ExternalError, InputError, Place, Problem

Item = TypeVar("Item")
Result = TypeVar("Result")

CONCURRENCY = 8  # threads; most of the work is waiting for a registry to respond
_KINDS = {
    ExitCode.CHECK_FAILED: CheckError,
    ExitCode.BAD_INPUT: InputError,
    ExitCode.ENVIRONMENT: ExternalError,
}


def each(work: Callable[[Item], Result], items: Iterable[Item], threads: int = CONCURRENCY) -> list[Result]:
    """Run `work` on every item and return the results in the order of the items.

    Raises the combined errors of all items, after every item was tried.
    """
    results: list[Result] = []
    errors: list[DfgenError] = []
    for result in attempt(work, items, threads):
        if isinstance(result, DfgenError):
            errors.append(result)
        else:
            results.append(result)
    if errors:
        raise combined(errors)
    return results


def attempt(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int = CONCURRENCY
) -> list[Result | DfgenError]:
    """Run `work` on every item; return a result or an error per item, in the order of the items.

    At most `threads` threads are used; with 1 the calling thread does the work.
    """

    def try_one(item: Item) -> Result | DfgenError:
        """Return the error instead of raising it, so that the other items are still tried."""
        try:
            return work(item)
        except DfgenError as error:
            return error

    listed = list(items)
    if min(threads, len(listed)) < 2:  # a thread would only add overhead
        return [try_one(item) for item in listed]
    pool = ThreadPoolExecutor(min(threads, len(listed)))
    try:
        return list(pool.map(try_one, listed))
    finally:
        # Without waiting: Ctrl-C must not hang on a registry that does not respond.
        pool.shutdown(wait=False, cancel_futures=True)


def with_place(place: Place | None, error: DfgenError) -> DfgenError:
    """Return the error with `place` added to problems that have none.

    An unreachable host is returned unchanged: it is not caused by anything at that place.
    """
    if isinstance(error, ExternalError) and error.unreachable:
        return error
    return _KINDS[error.exit_code](Problem(one.place or place, one.message) for one in error.problems)


def combined(errors: Iterable[DfgenError]) -> DfgenError:
    """Combine errors into one, without duplicates; the highest exit code decides its class.

    An unreachable host is reported once, with the number of failed requests.
    """
    listed = list(errors)
    # The messages of an unreachable host differ (tries, seconds), so these are deduplicated by the host.
    problems: dict[object, Problem] = {}
    unreachable: Counter[str] = Counter()
    for error in listed:
        host, requests = (error.unreachable, error.requests) if isinstance(error, ExternalError) else ("", 0)
        unreachable[host] += requests
        for one in error.problems:
            # A combined error may be combined again: drop its count, which the sum below replaces.
            message = one.message.removesuffix(_count(requests))
            problems.setdefault(host or one, Problem(one.place, message))
    found = _KINDS[max(error.exit_code for error in listed)](
        Problem(one.place, one.message + _count(unreachable[key])) if isinstance(key, str) else one
        for key, one in problems.items()
    )
    if isinstance(found, ExternalError) and len(problems) == 1:
        found.unreachable, found.requests = max(unreachable), max(unreachable.total(), 1)
    return found


def _count(requests: int) -> str:
    return f" ({requests} requests failed)" if requests > 1 else ""
