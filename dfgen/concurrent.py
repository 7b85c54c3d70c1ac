"""Many at once: one failure does not stop the others, and all failures are told together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from dfgen.errors import CheckError, DfgenError, ExitCode, InputError, OutsideError, Place, Problem

Item = TypeVar("Item")
Result = TypeVar("Result")

AT_ONCE = 8  # requests under way; registries answer more slowly than this machine asks
_KINDS = {ExitCode.DIFFERS: CheckError, ExitCode.BAD_INPUT: InputError, ExitCode.OUTSIDE: OutsideError}


def attempt(
    work: Callable[[Item], Result], items: Iterable[Item], at_once: int = AT_ONCE
) -> list[Result | DfgenError]:
    """Work on all items; results, or errors in their place, come in the order of the items.

    `at_once` is how many threads there are at most; with 1 this one does the work.
    """

    def one(item: Item) -> Result | DfgenError:
        """An error takes the result's place, so that the other items are still tried."""
        try:
            return work(item)
        except DfgenError as error:
            return error

    listed = list(items)
    if min(at_once, len(listed)) < 2:  # a thread would only cost time
        return [one(item) for item in listed]
    pool = ThreadPoolExecutor(min(at_once, len(listed)))
    try:
        return list(pool.map(one, listed))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C does not wait for a registry that is silent


def each(work: Callable[[Item], Result], items: Iterable[Item], at_once: int = AT_ONCE) -> list[Result]:
    """Work on all items. Errors: those of all items, joined, once every item was tried."""
    results: list[Result] = []
    errors: list[DfgenError] = []
    for result in attempt(work, items, at_once):
        if isinstance(result, DfgenError):
            errors.append(result)
        else:
            results.append(result)
    if errors:
        raise joined(errors)
    return results


def told_at(place: Place | None, error: DfgenError) -> DfgenError:
    """The same error, whose problems get a place where they have none; a silent host is no place's fault."""
    if isinstance(error, OutsideError) and error.unreachable:
        return error
    return _KINDS[error.exit_code](Problem(one.place or place, one.message) for one in error.problems)


def joined(errors: Iterable[DfgenError]) -> DfgenError:
    """Join errors into one of the kind with the highest exit code; what several say is told once.

    A host that does not answer says so in other words each time (tries, seconds): it is told with a count.
    """
    listed = list(errors)
    told: dict[object, Problem] = {}
    silent: Counter[str] = Counter()
    for error in listed:
        host, requests = (error.unreachable, error.requests) if isinstance(error, OutsideError) else ("", 0)
        silent[host] += requests
        for one in error.problems:
            told.setdefault(host or one, Problem(one.place, one.message.removesuffix(_count(requests))))
    problems = [
        Problem(one.place, one.message + _count(silent[key])) if isinstance(key, str) else one
        for key, one in told.items()
    ]
    found = _KINDS[max(error.exit_code for error in listed)](problems)
    if isinstance(found, OutsideError) and len(told) == 1:
        found.unreachable, found.requests = max(silent), max(silent.total(), 1)
    return found


def _count(requests: int) -> str:
    return f" ({requests} requests failed so)" if requests > 1 else ""
